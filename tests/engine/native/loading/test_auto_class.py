"""Containers of several models load, and are scored and continued as their text models."""

import pytest
import torch
import transformers

from evalsuite.checkpoints import resolve
from evalsuite.checkpoints.auto_class import auto_class
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.protocol import answers_in
from evalsuite.types import GenerateRequest, Score, ScoreRequest
from tests.engine.native.decoders import SHAPE
from tests.engine.tiny import BOS, EOS, VOCABULARY, greedy_alone, log_probs_alone, save

TEXT = {
    **SHAPE,
    "head_dim": 8,
    "vocab_size": VOCABULARY,
    "bos_token_id": BOS,
    "eos_token_id": EOS,
    "pad_token_id": BOS,
    "initializer_range": 0.3,
}
REQUESTS = [ScoreRequest((5, 6, 7), (8, 9)), ScoreRequest((5, 6, 7), (10,)), ScoreRequest((5, 20), (3, 4, 6))]


def mistral3() -> torch.nn.Module:
    vision = {
        "model_type": "pixtral",
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
        "image_size": 28,
        "patch_size": 14,
        "head_dim": 8,
    }
    text = transformers.MistralConfig(**TEXT, sliding_window=None)
    config = transformers.Mistral3Config(text_config=text, vision_config=vision, image_token_index=259)
    return transformers.Mistral3ForConditionalGeneration(config)


def qwen3_vl() -> torch.nn.Module:
    vision = {
        "depth": 1,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": 32,
        "patch_size": 4,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": [],
    }
    config = transformers.Qwen3VLConfig(
        text_config=TEXT,
        vision_config=vision,
        image_token_id=256,
        video_token_id=257,
        vision_start_token_id=258,
        vision_end_token_id=259,
    )
    return transformers.Qwen3VLForConditionalGeneration(config)


@pytest.mark.parametrize("make", [mistral3, qwen3_vl])
def test_a_container_is_scored_on_packed_trees_and_continued_as_by_itself(make, tmp_path):
    torch.manual_seed(0)
    model = make().eval()
    engine = TransformersEngine(resolve(str(save(model, tmp_path))), device="cpu")
    assert engine.scorer.why_batches == ""
    answers = dict(answers_in(engine.score(REQUESTS)))
    for request in REQUESTS:
        score = answers[request]
        assert isinstance(score, Score)
        expected = log_probs_alone(model, request.context, request.continuation)
        assert score.log_probs == pytest.approx(expected, abs=1e-4)
    text = GenerateRequest((5, 6, 7), (), 6)
    ((_, answer),) = answers_in(engine.generate([text]))
    assert answer.text == engine.tokenizer.decode(greedy_alone(model, text.context, 6))
    assert engine.notes == ()


def test_text_models_of_containers_keep_their_own_class():
    assert auto_class({"model_type": "gemma3"}).__name__ == "AutoModelForCausalLM"
    assert auto_class({"model_type": "mistral3"}).__name__ == "AutoModelForImageTextToText"
    assert auto_class({"model_type": "no_such_family"}).__name__ == "AutoModelForCausalLM"


def test_a_folders_own_code_decides():
    config = {"model_type": "mistral3", "auto_map": {"AutoModelForCausalLM": "modeling.Text"}}
    assert auto_class(config).__name__ == "AutoModelForCausalLM"
