"""No verb reads a name, path or message from elsewhere as markup, or lets it command the terminal."""

import ast
import json
from pathlib import Path

import pytest

import evalsuite
from evalsuite.cli.console import console
from tests.fabricate import fabricate, verdicts

FOLDER = Path(evalsuite.__file__).parent
HOSTILE = "lr[/1e-4] [red]:smiley: \x1b]0;OWNED\x07\x1b[2J\u202e=1+1|<b>"
PRINTERS = {"say.py", "console.py", "streams.py"}


def names_of(tree: ast.AST) -> set[str]:
    """Every dotted name that a module calls or imports."""
    found = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{one.name}" for one in node.names}
    return found


def test_only_one_place_prints():
    forbidden = {
        "print",
        "typer.echo",
        "typer.secho",
        "click.echo",
        "rich.print",
        "rich.console.Console",
        "Console",
        "sys.stdout.write",
        "sys.stderr.write",
        "Text.from_markup",
    }
    modules = [path for path in FOLDER.glob("cli/*.py") if path.name not in PRINTERS]
    assert len(modules) > 15
    for path in [*modules, *FOLDER.glob("results/**/*.py")]:
        used = names_of(ast.parse(path.read_text("utf-8"))) & forbidden
        assert not used, f"{path.name} prints by itself ({used}); use evalsuite.cli.say or .console"


def test_progress_columns_read_no_markup():
    tree = ast.parse((FOLDER / "cli" / "progress.py").read_text("utf-8"))
    columns = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "TextColumn"
    ]
    assert columns
    for column in columns:
        assert any(one.arg == "markup" and ast.unparse(one.value) == "False" for one in column.keywords)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> tuple[Path, Path]:
    """Two runs of a model with a hostile name and a task with one."""
    folder = tmp_path_factory.mktemp("runs")
    made = []
    for place, name in enumerate(("first", "second")):
        tasks = {"quiz": verdicts(300 - place, 200 + place), "[/b]\x1b[1m\u202e": verdicts(20, 10)}
        path = fabricate(folder / name, tasks)
        log = json.loads((path / "run.json").read_text("utf-8"))
        log["spec"]["model"], log["notes"] = HOSTILE, [HOSTILE]
        log["model"]["id"] = HOSTILE
        (path / "run.json").write_text(json.dumps(log), "utf-8")
        made.append(path)
    return made[0], made[1]


@pytest.mark.parametrize(
    "verb",
    [
        "compare {} {} --flips 3",
        "compare {} {} --json",
        "gate --baseline {} --candidate {}",
        "trend {} {}",
        "trend {} {} --markdown",
        "card {} --card nemotron-h-8b",
        "card {} --card nemotron-h-8b --markdown",
        "report {} {} --card [/x]\x1b[2J",
        "rescore {}",
        "merge {} {}",
        "import-lm-eval {}",
    ],
)
def test_every_verb_shows_hostile_names_as_they_are(cli, runs, verb, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    done = cli(*verb.format(*runs).split(" "))
    seen = done.out + done.err
    assert done.code in (0, 1, 2, 3)
    assert "Traceback" not in seen
    for command in ("\x1b]0;", "\x1b[2J", "\u202e", "\x07"):
        assert command not in seen


def test_a_console_prints_titles_cells_and_lines_as_they_are(capsys):
    from rich.table import Table

    table = Table(title=HOSTILE, caption=HOSTILE)
    table.add_column(HOSTILE)
    table.add_row(HOSTILE)
    out = console()
    out.print(table)
    out.print(HOSTILE)
    shown = HOSTILE.replace("\x1b", "\\x1b").replace("\x07", "\\x07").replace("\u202e", "\\u202e")
    assert capsys.readouterr().out.count(shown) == 5
