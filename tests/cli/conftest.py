"""Runs the command line as a user does, without a hub: in a process of its own, or in this one."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evalsuite.cli import main
from tests.cli.tiny_run import Done, arguments
from tests.runs.bench import Bench

PLUGIN = Path(__file__).parents[1] / "tasks" / "plugin" / "tiny.py"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def evalsuite(cli, tmp_path, monkeypatch) -> Run:
    """Runs `evalsuite ARGUMENTS...` in an empty folder; in this process, which has imported what commands
    need."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            for name, value in environment.items():
                patch.setenv(name, value)
            done = cli(*arguments)
        return subprocess.CompletedProcess(["evalsuite", *arguments], *done)

    return run


@pytest.fixture
def fresh_evalsuite(tmp_path) -> Run:
    """The same in a process of its own, for what depends on that: imports, environment of the interpreter."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "evalsuite", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONUTF8": "1", **environment},
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def shown(evalsuite) -> Callable[..., str]:
    """Output of a command that must succeed, with the tiny tasks included."""

    def run(*arguments: object) -> str:
        done = evalsuite(*arguments, "--include", PLUGIN)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    return run


@pytest.fixture
def complaint(evalsuite) -> Callable[..., str]:
    """What a command says that must fail: one message, no traceback, exit code 2, nothing on stdout."""

    def run(*arguments: object, **environment: str) -> str:
        done = evalsuite(*arguments, "--include", PLUGIN, **environment)
        assert "Traceback" not in done.stderr
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("evalsuite: ")
        return done.stderr.removeprefix("evalsuite: ").rstrip("\n")

    return run


@pytest.fixture
def cli(monkeypatch, capsys):
    """The command line in this process."""

    def call(*arguments) -> Done:
        monkeypatch.setattr(sys, "argv", ["evalsuite", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        return Done(code, *capsys.readouterr())

    return call


@pytest.fixture
def bench(tmp_path) -> Bench:
    return Bench.make(tmp_path, documents=6)


@pytest.fixture
def run(cli, bench, model):
    """`evalsuite run` on the bench; what a test gives replaces what is given here."""

    def call(*tasks: str, **options) -> Done:
        return cli(*arguments(bench, model, *tasks, **options))

    return call
