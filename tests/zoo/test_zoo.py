"""No architecture of transformers is wrong; most are scored on packed trees."""

import pytest
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from tests.zoo.comparing import compare

EVERYDAY = {
    "deepseek_v3": ("packed", "slots"),
    "doge": ("single rows", "refused"),
    "gemma3_text": ("packed", "slots"),
    "gpt_oss": ("packed", "slots"),
    "kimi_linear": ("packed", "slots"),
    "lfm2": ("packed", "slots"),
    "llama": ("packed", "slots"),
    "llama4_text": ("packed", "slots"),
    "mamba": ("batches", "batches"),
    "nemotron_h": ("packed", "slots"),
    "olmo_hybrid": ("packed", "slots"),
    "opt": ("packed", "slots"),
    "qwen3_next": ("packed", "slots"),
}
LEAST_PACKED = 120


@pytest.mark.parametrize("family", EVERYDAY)
def test_a_family_is_right_in_the_form_that_is_best_for_it(family):
    outcome = compare(family, window=8)
    assert (outcome.wrong, outcome.scoring, outcome.texts) == ("", *EVERYDAY[family]), outcome.reason


@pytest.mark.slow
@pytest.mark.parametrize("window", [8, 32])
def test_no_architecture_is_wrong_and_most_are_packed(window):
    outcomes = [compare(family, window) for family in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES]
    assert {one.family: one.wrong for one in outcomes if one.wrong} == {}
    assert sum(one.scoring == "packed" for one in outcomes) >= LEAST_PACKED
