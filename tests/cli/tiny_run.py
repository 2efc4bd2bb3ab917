"""`evalsuite run` on a tiny bench, in this process or in one of its own."""

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.runs.bench import ADDRESSES, Bench, quiz_rows, write_data


class Done(NamedTuple):
    code: int
    out: str
    err: str


def arguments(bench: Bench, model: Path | str, /, *tasks: str, **options) -> list[str]:
    named = {"model": model, "data": bench.data, "include": bench.plugin, "out": bench.out, "device": "cpu"}
    listed = ["run", "--tasks", ",".join(tasks or ADDRESSES)]
    for name, value in (named | options).items():
        flag = f"--{name.replace('_', '-')}"
        listed += [] if value is None else [flag] if value is True else [flag, str(value)]
    return listed


def too_long(bench: Bench) -> None:
    rows = [*quiz_rows(5), {"question": "x" * 200, "choices": ["1", "2", "3"], "answer": 0}]
    write_data(bench.data, 6).write("tiny/quiz", "default/test.parquet", rows)


def sentence(done: Done) -> str:
    """The last line of standard error, once it is sure that nothing but progress stands before it."""
    assert done.code not in (0, 1), done
    assert "Traceback" not in done.err
    assert done.out == ""
    *before, last = done.err.strip().splitlines()
    assert all(line.startswith("evalsuite: ") and line.endswith(" ...") for line in before), done.err
    return last


def process(*arguments: str, **environment: str) -> subprocess.Popen:
    env = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **environment}
    command = [sys.executable, "-m", "evalsuite", *arguments]
    # A shell starts background jobs with the interrupt ignored; here it must arrive.
    heeding = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=env, stdout=pipe, stderr=pipe, text=True, preexec_fn=heeding)
