"""Whatever rows are padded together, on the right for scores or on the left for texts, each gives what it
gives alone."""

from functools import cache

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import ReformerConfig, ReformerModelWithLMHead

from evalsuite.engine.native.differences import allowed_difference, difference_of
from evalsuite.engine.native.forward import plain_logits
from evalsuite.engine.native.generate_batch import decode_step, keep_rows, prefill
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.probe.limits import BEYOND, lengths_beyond
from evalsuite.engine.native.score_batch import batch_logits
from evalsuite.engine.native.trials.trials import fitting_scores, fitting_texts
from tests.engine.native.decoders import DECODERS, decoder
from tests.engine.tiny import VOCABULARY, loaded, tiny_hybrids

MODELS = {
    "clipped": lambda: decoder("Olmo", clip_qkv=1.0),
    "learned positions": DECODERS["gpt2, learned positions"],
    "mamba": lambda: tiny_hybrids()["mamba"].eval(),
    "mamba-2": lambda: tiny_hybrids()["mamba2"].eval(),
    "sinks and window": DECODERS["gpt_oss, sinks and window"],
    "windows": DECODERS["gemma3, window"],
}
REFORMER = {
    "is_decoder": True,
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_attention_heads": 4,
    "attention_head_size": 8,
    "axial_pos_embds": False,
    "feed_forward_size": 64,
    "num_buckets": 4,
    "attn_layers": ["local", "lsh"],
    "local_attn_chunk_length": 16,
    "lsh_attn_chunk_length": 16,
    "hash_seed": 0,
    "num_hidden_layers": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
}
ROWS = st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=4, max_size=24), min_size=2, max_size=4)
NEW = 3
"""Last tokens of each row that are scored, or fed one by one to its text."""
few = settings(max_examples=20, deadline=None, derandomize=True)


@cache
def fitting(name: str) -> tuple[LoadedModel, LoadedModel]:
    """The model as its trials leave it for padded batches of scores, and of texts."""
    ready = loaded(MODELS[name]())
    scores, texts = fitting_scores(ready, ""), fitting_texts(ready, "")
    assert (scores.name, texts.name) == ("batches", "batches")
    return scores.loaded, texts.loaded


@few
@given(st.sampled_from(sorted(MODELS)), ROWS)
@torch.inference_mode()
def test_scores_of_a_right_padded_batch_are_those_of_each_row_alone(name, rows):
    ready = fitting(name)[0]
    of = torch.arange(len(rows)).repeat_interleave(NEW)
    columns = torch.tensor([len(ids) - NEW + at for ids in rows for at in range(NEW)])
    found = batch_logits(ready, rows, of, columns).float()
    own = torch.cat([plain_logits(ready, ids, NEW) for ids in rows])
    assert difference_of(found, own) <= allowed_difference(torch.float32)


@few
@given(st.sampled_from(sorted(MODELS)), ROWS, st.data())
@torch.inference_mode()
def test_texts_of_a_left_padded_batch_grow_as_each_row_alone_also_once_some_have_ended(name, rows, data):
    ready = fitting(name)[1]
    own = [plain_logits(ready, ids, NEW + 1, positions=ready.text_positions) for ids in rows]
    state = prefill(ready, [ids[:-NEW] for ids in rows])
    left = list(range(len(rows)))
    for at in range(NEW + 1):
        expected = torch.stack([own[row][at] for row in left])
        assert difference_of(state.logits.float(), expected) <= allowed_difference(torch.float32)
        if at == NEW:
            break
        decode_step(ready, state, [rows[row][at - NEW] for row in left])
        kept = data.draw(st.lists(st.sampled_from(range(len(left))), min_size=1, unique=True).map(sorted))
        # The rows that are dropped have ended after this token.
        keep_rows(state, kept)
        state.logits, left = state.logits[kept], [left[row] for row in kept]


def test_chunks_that_see_their_neighbours_are_tried_beyond_three_of_them():
    torch.manual_seed(0)
    ready = loaded(ReformerModelWithLMHead(ReformerConfig(**REFORMER)))
    assert lengths_beyond(ready.model.config.to_dict()) == [3 * 16 + BEYOND]
    form = fitting_scores(ready, "")
    assert form.name == "single rows"
    assert "a trial differed from single sequences" in form.reasons[-1]
