"""A model that is no causal language model is told so, although transformers loads it as one."""

import pytest
import torch
from transformers import BertConfig, BertLMHeadModel, T5Config, T5ForConditionalGeneration

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.loading.load import ready
from evalsuite.engine.native.probe.causal import refuse_unless_causal
from evalsuite.errors import ModelError
from tests.engine.native.decoders import DECODERS
from tests.engine.tiny import VOCABULARY, save, tiny_hybrids, tiny_nemotron_h

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def tiny_bert(is_decoder: bool) -> BertLMHeadModel:
    torch.manual_seed(0)
    return BertLMHeadModel(
        BertConfig(vocab_size=VOCABULARY, is_decoder=is_decoder, initializer_range=0.3, **SMALL)
    )


def refusal(model: torch.nn.Module, folder) -> str:
    engine = TransformersEngine(ModelFiles("mine", save(model, folder)), dtype="float32", device="cpu")
    with pytest.raises(ModelError) as caught:
        engine.load()
    return str(caught.value)


def test_an_encoder_is_refused_although_it_has_a_language_model_head(tmp_path):
    text = refusal(tiny_bert(is_decoder=False), tmp_path)
    assert "'mine' (BertLMHeadModel) is no causal language model" in text


def test_an_encoder_with_a_decoder_is_refused(tmp_path):
    config = T5Config(vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4)
    assert "'mine' (t5) is no causal language model" in refusal(T5ForConditionalGeneration(config), tmp_path)


@pytest.mark.parametrize("make", [*DECODERS.values(), tiny_nemotron_h, lambda: tiny_bert(True)])
def test_causal_models_are_taken(make):
    refuse_unless_causal(ready(make(), "cpu"), "mine")


def test_hybrids_are_taken():
    for model in tiny_hybrids().values():
        refuse_unless_causal(ready(model, "cpu"), "mine")
