"""What a model's `generation_config.json` asks for beyond sampling, by name; nothing heavy is imported."""

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
"""Settings that change a greedy text, with the values that do not; `engine.controls` applies them."""
NOT_APPLIED: Mapping[str, Any] = {
    "num_beams": 1,
    "penalty_alpha": 0.0,
    "dola_layers": None,
    "guidance_scale": 1.0,
    "watermarking_config": None,
    "stop_strings": None,
    "max_time": None,
}
"""Such settings that evalsuite has nothing for: other ways of searching, a second pass of the model, the
clock."""
OF_SAMPLING: Mapping[str, Any] = {
    "min_p": 0.0,
    "top_h": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}
"""The same, of settings that change sampled texts alone."""
_LONGEST_SHOWN = 60


def asked_for(config: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    """The settings among `names` that the file has and that are not neutral."""
    return {
        name: config[name]
        for name, neutral in names.items()
        if config.get(name) is not None and config[name] != neutral and config[name] not in ([], {})
    }


def notes_on(files: ModelFiles, backend: Backend, *, sampled: bool, applied: bool) -> tuple[str, ...]:
    """What a reader of a score from generated texts must know of the file.

    Args:
        files: the model.
        backend: by whose rules the texts are generated.
        sampled: they are drawn.
        applied: the engine follows the file where the backend does.
    """
    # transformers takes these settings from config.json where the other file is missing.
    config = read_generation_config(files) or read_config(files)
    acting = asked_for(config, NEUTRAL)
    idle = asked_for(config, {**NOT_APPLIED, **(OF_SAMPLING if sampled else {})})
    if not (backend == "lm_eval_hf" and applied):
        acting.pop("max_new_tokens", None)  # A recipe has a limit of its own.
        acting, idle = {}, {**acting, **idle}
    notes = []
    if acting:
        notes.append(f"the model's generation_config.json acts on the texts, as in lm-eval: {_shown(acting)}")
    if idle:
        notes.append(f"the model's generation_config.json is not followed in: {_shown(idle)}")
    return tuple(notes)


def _shown(values: Mapping[str, Any]) -> str:
    written = (f"{name} {value}" for name, value in values.items())
    return ", ".join(one if len(one) <= _LONGEST_SHOWN else f"{one[:_LONGEST_SHOWN]}..." for one in written)
