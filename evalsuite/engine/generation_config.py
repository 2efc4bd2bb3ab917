"""Settings of a model's `generation_config.json` beyond temperature and top-p; imports nothing heavy."""

from collections.abc import Mapping
from typing import Any

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.files import read_config, read_generation_config
from evalsuite.types import Backend

NEUTRAL: Mapping[str, Any] = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": None,
    "sequence_bias": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "min_length": 0,
    "min_new_tokens": 0,
    "max_new_tokens": None,
    "exponential_decay_length_penalty": None,
}
"""Settings that change greedy texts, with their neutral values; `engine.native.controls` applies them."""
NOT_APPLIED: Mapping[str, Any] = {
    "num_beams": 1,
    "penalty_alpha": 0.0,
    "dola_layers": None,
    "guidance_scale": 1.0,
    "watermarking_config": None,
    "stop_strings": None,
    "max_time": None,
}
"""Settings that evalsuite does not implement: other search methods, a second forward pass, a time limit."""
OF_SAMPLING: Mapping[str, Any] = {
    "min_p": 0.0,
    "top_h": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}
"""Settings that evalsuite does not implement and that change only sampled texts."""
_LONGEST_SHOWN = 60


def asked_for(config: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among `names` that `config` sets to a value that is not neutral."""
    return {
        name: config[name]
        for name, neutral in names.items()
        if config.get(name) is not None and config[name] != neutral and config[name] not in ([], {})
    }


def notes_on(files: ModelFiles, backend: Backend, *, sampled: bool, applied: bool) -> tuple[str, ...]:
    """Notes for the run log: which settings of the file act on generated texts, and which are not followed.

    Args:
        files: the model.
        backend: the harness whose generation rules apply.
        sampled: whether texts are sampled.
        applied: whether the engine follows the file where the backend does.
    """
    # Without a generation_config.json, transformers takes these settings from config.json.
    config = read_generation_config(files) or read_config(files)
    acting = asked_for(config, NEUTRAL)
    idle = asked_for(config, {**NOT_APPLIED, **(OF_SAMPLING if sampled else {})})
    if not (backend == "lm_eval_hf" and applied):
        acting.pop("max_new_tokens", None)  # The recipe sets its own limit.
        acting, idle = {}, {**acting, **idle}
    notes = []
    if acting:
        notes.append(f"the model's generation_config.json changes the texts, as in lm-eval: {_shown(acting)}")
    if idle:
        notes.append(f"settings of the model's generation_config.json that are not applied: {_shown(idle)}")
    return tuple(notes)


def _shown(values: Mapping[str, Any]) -> str:
    written = (f"{name} {value}" for name, value in values.items())
    return ", ".join(
        text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..." for text in written
    )
