"""`evalsuite convert-nemo`: a NeMo archive as a folder in the Hugging Face format."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli.say import say


def convert_nemo(
    archive: Annotated[Path, typer.Argument(help="A .nemo file of a GPT with Nemotron's layers.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write; it must not be there yet.")],
) -> None:
    """Write a NeMo archive's weights, configuration and tokenizer as transformers reads them.

    `run --model FILE.nemo` needs no such step: it converts into the user's cache by itself.
    """
    from evalsuite.nemo.convert import convert_archive

    made = convert_archive(archive, out)
    say(f"{made.parameters:,} parameters ({made.dtype}, {made.files} files) and the tokenizer in {out}")
