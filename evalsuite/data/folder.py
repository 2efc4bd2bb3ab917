"""Finds the folder with the user's data."""

import os
from pathlib import Path

from evalsuite.errors import UserError
from evalsuite.visible import refuse_undecodable


def data_folder(given: str | Path | None) -> Path | None:
    """The folder of `--data`, or else of EVALSUITE_DATA; raises UserError if it is not a folder."""
    chosen = given or os.environ.get("EVALSUITE_DATA")
    if not chosen:
        return None
    origin = "--data" if given else "EVALSUITE_DATA"
    refuse_undecodable(origin, chosen)
    if not Path(chosen).is_dir():
        raise UserError(f"{origin} {chosen}: no such folder.")
    return Path(chosen)
