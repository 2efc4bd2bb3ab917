"""`evalsuite convert-nemo`: convert a NeMo archive to the Hugging Face format."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli.say import say


def convert_nemo(
    archive: Annotated[Path, typer.Argument(help="A .nemo file of a GPT model with Nemotron layers.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to create; it must not exist yet.")],
) -> None:
    """Write a NeMo archive's weights, configuration and tokenizer in the format that transformers loads.

    `run --model FILE.nemo` does not need this step: it converts into the user's cache.
    """
    from evalsuite.nemo.convert import convert_archive

    done = convert_archive(archive, out)
    say(f"{done.parameters:,} parameters ({done.dtype}, {done.files} files) and the tokenizer in {out}")
