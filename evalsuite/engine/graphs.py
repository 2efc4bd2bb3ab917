"""`--engine-arg graphs=no`: texts on a GPU without CUDA graphs.

With them (the default) the passes that add a token to every text are recorded and replayed as one launch. No request's
key names this: like the number of rows at work it decides how a pass is cut, and so the last digits of its logits.
They are never used on other devices, by models in several parts (`spread`, tensor parallelism), or with
`deterministic=yes`.
"""

from evalsuite.errors import UserError

SETTING = "graphs"
ANSWERS = {"yes": True, "no": False}


def are_wanted(value: str) -> bool:
    """What `graphs=VALUE` says.

    Raises:
        UserError: neither yes nor no.
    """
    if value not in ANSWERS:
        raise UserError(f"--engine-arg {SETTING} is yes or no, not '{value}'.")
    return ANSWERS[value]
