"""Registers the verbs."""

import typer

from evalsuite.cli.card import card
from evalsuite.cli.compare import compare
from evalsuite.cli.convert_nemo import convert_nemo
from evalsuite.cli.decisions import DecisionCommand
from evalsuite.cli.doctor import doctor
from evalsuite.cli.dump import requests
from evalsuite.cli.gate import gate
from evalsuite.cli.grade import grade
from evalsuite.cli.import_lm_eval import import_lm_eval
from evalsuite.cli.listing import listing
from evalsuite.cli.merge import merge
from evalsuite.cli.report import report
from evalsuite.cli.rescore import rescore
from evalsuite.cli.run import run
from evalsuite.cli.show import show
from evalsuite.cli.trend import trend

app = typer.Typer(
    name="evalsuite",
    help="Evaluate base language models by the exact protocols of published numbers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run)
app.command("list")(listing)
app.command("show")(show)
app.command("requests")(requests)
app.command("grade")(grade)
app.command("rescore")(rescore)
app.command("merge")(merge)
app.command("compare", cls=DecisionCommand)(compare)
app.command("gate", cls=DecisionCommand)(gate)
app.command("card", cls=DecisionCommand)(card)
app.command("trend", cls=DecisionCommand)(trend)
app.command("report", cls=DecisionCommand)(report)
app.command("convert-nemo")(convert_nemo)
app.command("import-lm-eval")(import_lm_eval)
app.command("doctor")(doctor)
