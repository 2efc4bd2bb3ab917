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
