"""The native engine's own settings, `--engine-arg NAME=VALUE`, which are all yes or no."""

from collections.abc import Mapping

from evalsuite.errors import UserError

ANSWERS = {"yes": True, "no": False}


def is_on(arguments: Mapping[str, str], setting: str, *, usually: bool) -> bool:
    """What `arguments` say of a setting, and `usually` where they say nothing.

    Raises:
        UserError: neither yes nor no.
    """
    if setting not in arguments:
        return usually
    if arguments[setting] not in ANSWERS:
        raise UserError(f"--engine-arg {setting} is yes or no, not '{arguments[setting]}'.")
    return ANSWERS[arguments[setting]]


GRAPHS = "graphs"
"""`--engine-arg graphs=no`: texts on a GPU without CUDA graphs.

With them (the default) the passes that add a token to every text are recorded and replayed as one launch. No request's
key names this: like the number of rows at work it decides how a pass is cut, and so the last digits of its logits.
They are never used on other devices, by models in several parts (`spread`, tensor parallelism), or with
`deterministic=yes`.
"""
