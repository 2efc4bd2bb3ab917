"""What a reader is told of a model's generation_config.json."""

import json

import pytest

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.generation_config import notes_on


@pytest.fixture
def files(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama", "repetition_penalty": 1.3}')

    def made(config):
        (tmp_path / "generation_config.json").write_text(json.dumps(config))
        return ModelFiles("mine", tmp_path)

    return made


def test_what_the_recipe_leaves_out_is_named(files):
    config = {
        "repetition_penalty": 1.05,
        "no_repeat_ngram_size": 0,
        "max_new_tokens": 2048,
        "eos_token_id": 2,
    }
    [note] = notes_on(files(config), "evalsuite", sampled=False, applied=True)
    assert (
        note == "settings of the model's generation_config.json that are not applied: repetition_penalty 1.05"
    )


def test_what_acts_in_lm_evals_recipe_is_named_and_what_cannot_too(files):
    config = {"suppress_tokens": list(range(99)), "max_new_tokens": 64, "num_beams": 4, "min_p": 0.1}
    acts, idle = notes_on(files(config), "lm_eval_hf", sampled=False, applied=True)
    assert acts.startswith(
        "the model's generation_config.json changes the texts, as in lm-eval: suppress_tokens [0, 1"
    )
    assert acts.endswith("..., max_new_tokens 64")
    assert idle == "settings of the model's generation_config.json that are not applied: num_beams 4"
    assert notes_on(files(config), "lm_eval_hf", sampled=True, applied=True)[1].endswith(
        "num_beams 4, min_p 0.1"
    )


def test_an_engine_that_does_not_follow_it_says_so(files):
    [note] = notes_on(files({"repetition_penalty": 1.05}), "lm_eval_hf", sampled=False, applied=False)
    assert "not applied" in note


@pytest.mark.parametrize(
    "config", [{}, {"eos_token_id": [1, 2], "temperature": 0.6, "top_k": 20, "do_sample": True}]
)
def test_a_file_of_sampling_and_end_tokens_needs_no_word(files, config):
    assert notes_on(files({**config, "pad_token_id": 0}), "evalsuite", sampled=False, applied=True) == ()


def test_without_the_file_transformers_reads_the_model_s_configuration(files, tmp_path):
    made = files({})
    (tmp_path / "generation_config.json").unlink()
    [note] = notes_on(made, "evalsuite", sampled=False, applied=True)
    assert note.endswith("repetition_penalty 1.3")
