"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from evalsuite.cli import completion

Tasks = Annotated[
    str,
    typer.Option(
        "--tasks",
        "-t",
        help="Comma-separated addresses, [recipe/]task[:format][@shots], or suites.",
        autocompletion=completion.tasks,
    ),
]
RecipeName = Annotated[
    str | None, typer.Option(help="Recipe for task names without one.", autocompletion=completion.recipes)
]
ShotCount = Annotated[int | None, typer.Option(min=0, help="Shots for addresses that give none.")]
Split = Annotated[str | None, typer.Option(help="Split to evaluate, in place of the recipe's.")]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1, help="Evaluate only the first N documents per task, taken from member tasks in turn."
    ),
]
SampleSize = Annotated[
    int | None,
    typer.Option(min=1, help="Evaluate N random documents per task (see --seed), spread over member tasks."),
]
Data = Annotated[
    Path | None,
    # The library reads the variable, so that an error can name the source of a wrong folder.
    typer.Option(help="Folder with datasets in Hugging Face layout [default: EVALSUITE_DATA]."),
]
Include = Annotated[
    list[Path] | None, typer.Option(help="Task file, or folder with task files and recipes; repeatable.")
]
AllowDataDrift = Annotated[
    bool,
    typer.Option("--allow-data-drift", help="Accept rows that differ from the pinned data, with a note."),
]
SeedRuns = Annotated[
    list[Path] | None,
    typer.Option(
        help="Run of a training that differs in its seed alone, at the same step; give it for two or more. "
        "Their spread is the noise between seeds [default: published values, where there are some]."
    ),
]
AllowNoise = Annotated[
    bool,
    typer.Option("--allow-noise", help="Judge even if a margin lies within the noise of two seeds."),
]
AllowUnsafeCode = Annotated[
    bool,
    typer.Option(
        "--allow-unsafe-code",
        help="If no sandbox works, run model-written code under resource limits alone.",
    ),
]
AllowFailures = Annotated[
    bool,
    typer.Option(
        "--allow-failures", help="Report scores even if documents failed, with the count of failures."
    ),
]
ScoringWorkers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Scoring processes [default: one per core].")
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code from the model's repository.")
]
ModelConfig = Annotated[
    str | None,
    typer.Option(
        help="Configuration and tokenizer of a raw checkpoint: a folder, an alias or a hub id.",
        autocompletion=completion.models,
    ),
]
TokenizerName = Annotated[
    str | None, typer.Option(help="Tokenizer in place of the model's: a folder, an alias or a hub id.")
]
BosToken = Annotated[
    str | None,
    typer.Option(
        "--bos", help="BOS before each prompt, in place of the recipes' choice: never, tokenizer or always."
    ),
]
PrefixToken = Annotated[
    str | None,
    typer.Option(help="Token or token id that precedes a text without a context [default: BOS, else EOS]."),
]
MaxLength = Annotated[
    int | None, typer.Option(min=1, help="Context window in tokens, shorter than the model's.")
]
Texts = Annotated[
    list[str] | None,
    typer.Option(
        "--text", help="File or folder of texts for task text: plain, JSON lines, Parquet; repeatable."
    ),
]
TextField = Annotated[str, typer.Option(help="Field of the text in JSON lines and Parquet.")]
TextDomain = Annotated[
    str | None, typer.Option(help="Field of a text's domain [default: its sub-folder, else its file].")
]
Stride = Annotated[
    int | None,
    typer.Option(min=1, help="Tokens that each window of a held-out text scores [default: all but one]."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result and errors, but no progress.")]
Verbose = Annotated[
    bool,
    typer.Option("--verbose", help="Also print libraries' logs and the traceback of an error."),
]
