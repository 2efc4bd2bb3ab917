"""Registers the commands."""

from typing import Annotated

import typer

from evalsuite.cli.card import card
from evalsuite.cli.command import Command
from evalsuite.cli.compare import compare
from evalsuite.cli.convert_nemo import convert_nemo
from evalsuite.cli.data import data
from evalsuite.cli.decisions import DecisionCommand
from evalsuite.cli.doctor import doctor
from evalsuite.cli.dump import requests
from evalsuite.cli.export import export
from evalsuite.cli.gate import gate
from evalsuite.cli.grade import grade
from evalsuite.cli.import_lm_eval import import_lm_eval
from evalsuite.cli.listing import listing
from evalsuite.cli.merge import merge
from evalsuite.cli.report import report
from evalsuite.cli.rescore import rescore
from evalsuite.cli.run import run
from evalsuite.cli.say import say
from evalsuite.cli.show import show
from evalsuite.cli.trend import trend
from evalsuite.cli.watch import sweep, watch

app = typer.Typer(
    name="evalsuite",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib import metadata

        say(f"evalsuite {metadata.version('evalsuite')}")
        raise typer.Exit


@app.callback()
def every_verb(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Evaluate base language models with the exact protocols of published results."""


app.command("run", cls=Command)(run)
app.command("list", cls=Command)(listing)
app.command("show", cls=Command)(show)
app.command("requests", cls=Command)(requests)
app.command("data", cls=Command)(data)
app.command("grade", cls=Command)(grade)
app.command("rescore", cls=Command)(rescore)
app.command("merge", cls=Command)(merge)
app.command("watch", cls=Command)(watch)
app.command("sweep", cls=Command)(sweep)
app.command("compare", cls=DecisionCommand)(compare)
app.command("gate", cls=DecisionCommand)(gate)
app.command("card", cls=DecisionCommand)(card)
app.command("trend", cls=DecisionCommand)(trend)
app.command("report", cls=DecisionCommand)(report)
app.command("export", cls=DecisionCommand)(export)
app.command("convert-nemo", cls=Command)(convert_nemo)
app.command("import-lm-eval", cls=Command)(import_lm_eval)
app.command("doctor", cls=Command)(doctor)
