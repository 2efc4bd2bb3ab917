"""The folder with the user's own data."""

import os
from pathlib import Path

from evalsuite.errors import UserError
from evalsuite.visible import refuse_undecodable


def data_folder(given: str | Path | None) -> Path | None:
    """`--data`, else EVALSUITE_DATA; raises UserError where it is no folder."""
    chosen = given or os.environ.get("EVALSUITE_DATA")
    if not chosen:
        return None
    origin = "--data" if given else "EVALSUITE_DATA"
    refuse_undecodable(origin, chosen)
    if not Path(chosen).is_dir():
        raise UserError(f"{origin} {chosen}: there is no such folder.")
    return Path(chosen)
