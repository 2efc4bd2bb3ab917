import torch

from tests.engine.native.decoders import decoder
from tests.engine.tiny import loaded

IDS = torch.arange(4, 20)[None]


@torch.inference_mode()
def test_soft_caps_are_computed_though_sdpa_leaves_them_out():
    model = decoder("Gemma2", head_dim=8, attn_logit_softcapping=0.5)
    model.config._attn_implementation = "sdpa"  # as transformers 5.17 does
    found = loaded(model).model(input_ids=IDS).logits
    assert model.config._attn_implementation == "eager"
    uncapped = decoder("Gemma2", head_dim=8, attn_logit_softcapping=None)
    uncapped.load_state_dict(model.state_dict())
    assert (found - uncapped(input_ids=IDS).logits).abs().max() > 0.1


def test_a_model_without_soft_caps_keeps_sdpa():
    assert loaded(decoder("Gemma3", head_dim=8)).model.config._attn_implementation == "sdpa"
