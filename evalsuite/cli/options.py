"""Options that several verbs share."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli import completion

Tasks = Annotated[
    str,
    typer.Option(
        "--tasks",
        "-t",
        help="Comma-separated addresses: [recipe/]task[:format][@shots].",
        autocompletion=completion.tasks,
    ),
]
Recipe = Annotated[
    str | None, typer.Option(help="Recipe of bare task names.", autocompletion=completion.recipes)
]
Shots = Annotated[int | None, typer.Option(min=0, help="Shots where an address gives none.")]
Split = Annotated[str | None, typer.Option(help="Evaluated split, in place of the recipe's.")]
Limit = Annotated[
    int | None,
    typer.Option(min=1, help="Documents per task, the first ones; member tasks are taken in turn."),
]
Sample = Annotated[
    int | None,
    typer.Option(min=1, help="Documents per task, drawn at random (--seed) and spread over member tasks."),
]
Data = Annotated[
    Path | None,
    # The variable is read by the library, so that an error can say where a wrong folder comes from.
    typer.Option(help="Folder with data sets in Hugging Face layout [default: EVALSUITE_DATA]."),
]
Include = Annotated[
    list[Path] | None, typer.Option(help="Task file, or folder of task files and recipes; repeatable.")
]
AllowDataDrift = Annotated[
    bool, typer.Option("--allow-data-drift", help="Accept rows that are not the pinned ones, with a note.")
]
AllowUnsafeCode = Annotated[
    bool,
    typer.Option(
        "--allow-unsafe-code",
        help="Run model-written code under resource limits alone, where no sandbox works.",
    ),
]
AllowFailures = Annotated[
    bool,
    typer.Option(
        "--allow-failures", help="Give scores although documents failed; the count stands beside them."
    ),
]
ScoringWorkers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Scoring processes [default: one per core].")
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that comes with the model.")
]
Tokenizer = Annotated[
    str | None, typer.Option(help="Another tokenizer than the model's: a folder, an alias or a hub id.")
]
BosToken = Annotated[
    str | None,
    typer.Option(
        "--bos", help="never, tokenizer or always: a BOS token before each prompt, whatever the recipes say."
    ),
]
PrefixToken = Annotated[
    str | None,
    typer.Option(help="Token, or its id, before a text without a context [default: BOS, else EOS]."),
]
MaxLength = Annotated[
    int | None, typer.Option(min=1, help="A shorter context window than the model's, in tokens.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print no progress: only the result, and what is wrong.")
]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="Print what libraries log, too, and the traceback behind an error."),
]
