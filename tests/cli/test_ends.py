"""How the command line ends: faults of our own, interrupts, empty values."""

import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from evalsuite.cli.crash import without_secrets

VERB = """
import sys, time
import evalsuite.cli as cli
def verb(standalone_mode):
    {body}
cli.app = verb
sys.argv = ["evalsuite", *{arguments!r}]
cli.main()
"""


def start(body: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The command line with a verb of this body."""
    code = VERB.format(body=body, arguments=arguments)
    heeding = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    pipe, env = subprocess.PIPE, {**os.environ, **environment}
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=pipe, stderr=pipe, text=True, env=env, preexec_fn=heeding
    )


FAULT = 'raise IndexError("index 7 is out of bounds\\nsecond line")'


def test_a_fault_of_our_own_is_a_sentence_an_exit_code_and_a_file_to_send(tmp_path):
    running = start(FAULT, "run", "--engine-arg", "api_key=s3cret", TMPDIR=str(tmp_path))
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (70, "")
    [line] = err.splitlines()
    assert "unexpected error (IndexError: index 7 is out of bounds)" in line
    text = Path(re.search(r"attach (\S+)\. ", line)[1]).read_text("utf-8")
    assert "Traceback" in text
    assert "evalsuite 0." in text
    assert "command: evalsuite run --engine-arg api_key=***" in text
    assert "s3cret" not in text


def test_verbose_shows_the_traceback_too(tmp_path):
    _, err = start(FAULT, "run", "--verbose", TMPDIR=str(tmp_path)).communicate(timeout=60)
    assert err.startswith("Traceback")
    mistake = 'from evalsuite.errors import UserError; raise UserError("there is no such folder")'
    _, err = start(mistake, "--verbose").communicate(timeout=60)
    assert err.startswith("Traceback")
    assert err.splitlines()[-1] == "evalsuite: there is no such folder"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("api_key=abc", "api_key=***"),
        ("http://me:pass@host/v1", "http://me:***@host/v1"),
        ("Authorization: Bearer", "Authorization: ***"),
        ("HF_TOKEN=hf_1", "HF_TOKEN=***"),
        ("--tasks mmlu:cloze", "--tasks mmlu:cloze"),
    ],
)
def test_secrets_stay_out_of_the_file(text, kept):
    assert without_secrets(text) == kept


IN_A_CALLBACK = """
    import os, signal, weakref
    class Lock: pass
    def interrupted(_):
        os.kill(os.getpid(), signal.SIGINT)
        return [number for number in range(10)]
    lock = Lock()
    reference = weakref.ref(lock, interrupted)
    try:
        del lock
        time.sleep(20)
    except KeyboardInterrupt:
        print("shut down", flush=True)
        sys.exit(130)
"""


def test_an_interrupt_inside_a_callback_is_not_lost():
    """Python ignores exceptions there: an import releases its lock by such a callback."""
    running = start(IN_A_CALLBACK)
    out, err = running.communicate(timeout=15)
    assert (out, running.returncode) == ("shut down\n", 130)
    assert "Traceback" not in err


def test_an_interrupt_before_the_command_is_read_is_no_traceback():
    running = start("raise KeyboardInterrupt")
    assert running.communicate(timeout=60) == ("", "")
    assert running.returncode == 130


def test_a_second_interrupt_ends_the_process_quietly():
    body = """try:
        print("working", flush=True)
        time.sleep(60)
    except KeyboardInterrupt:
        print("ending", flush=True)
        time.sleep(60)"""
    running = start(body)
    assert running.stdout.readline() == "working\n"
    time.sleep(0.5)  # else the interrupt may come while the line is written, which is then written again
    running.send_signal(signal.SIGINT)
    assert running.stdout.readline() == "ending\n"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=30)
    assert (running.returncode, err) == (130, "")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "--tasks", "mmlu", "--model", "m", "--out", ""], 2),
        (["run", "--tasks", "mmlu", "--model="], 2),
        (["list", ""], 2),
        (["gate", "--baseline", "", "--candidate", "b"], 3),
    ],
)
def test_an_empty_value_is_refused_by_every_verb(evalsuite, arguments, code):
    done = evalsuite(*arguments)
    assert done.returncode == code
    assert "is empty; give a value or omit the option." in done.stderr


def test_the_shell_completes_tasks_recipes_and_models():
    def offered(words: str) -> list[str]:
        typed = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        env = {**os.environ, "_EVALSUITE_COMPLETE": "complete_bash", **typed}
        command = Path(sys.executable).with_name("evalsuite")
        return subprocess.run([command], env=env, capture_output=True, text=True, check=False).stdout.split()

    assert "mmlu,gsm8k" in offered("evalsuite run --tasks mmlu,gsm")
    assert offered("evalsuite run --recipe nemotron_") == ["nemotron_3", "nemotron_base", "nemotron_h"]
    assert "smollm2-135m" in offered("evalsuite run --model smol")
    assert "grade" in offered("evalsuite gr")


def test_a_short_option_shows_the_help_of_every_verb(evalsuite):
    assert "Evaluate base language models" in evalsuite("-h").stdout
    assert "--tasks" in evalsuite("run", "-h").stdout


def test_the_version_is_that_of_the_installed_package(evalsuite):
    import evalsuite as package

    assert evalsuite("--version").stdout == f"evalsuite {package.__version__}\n"
