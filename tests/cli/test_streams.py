"""Standard output and error that are closed, broken, full, or in an encoding that lacks signs."""

import os
import subprocess
import sys

import pytest

COMMAND = [sys.executable, "-m", "evalsuite"]


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a line of bash, in which EVALSUITE is the command."""
    line = line.replace("EVALSUITE", f"{sys.executable} -m evalsuite")
    command = ["bash", "-c", f"set -o pipefail; {line}"]
    env = {**os.environ, **environment}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", "+ - x caf? ?"), ("latin-1", "+ - x café ?"), ("utf-8", "✓ – ✗ café 数")],
)
def test_signs_that_an_encoding_lacks_are_replaced(encoding, shown):
    program = "from evalsuite.cli.streams import prepare_streams as go; go(); print('✓ – ✗ café 数')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout.decode(encoding), done.stderr) == (shown + "\n", b"")


def test_closed_streams_do_not_change_what_a_command_does():
    assert shell("EVALSUITE list models 2>&-").stdout.startswith("alias")
    assert shell("EVALSUITE list models <&- >&- 2>&-").returncode == 0


def test_a_reader_that_has_gone_does_not_change_the_exit_code():
    done = shell("EVALSUITE list tasks | true")
    assert (done.returncode, done.stderr) == (0, "")
    done = shell("EVALSUITE show no/such/task 2>&1 >/dev/null | true")
    assert done.returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_under_standard_output_is_a_sentence():
    done = shell("EVALSUITE list models > /dev/full")
    assert (done.returncode, done.stderr) == (
        2,
        "evalsuite: Standard output cannot be written: No space left on device.\n",
    )


def test_a_path_that_is_no_utf8_is_refused_before_work_begins(tmp_path):
    command = [*map(os.fsencode, COMMAND), b"run", b"--tasks", b"x", b"--model", b"y", b"--out", b"caf\xe9"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120, check=False)
    assert done.returncode == 2
    assert b"caf\\udce9: the path is not valid UTF-8" in done.stderr
    assert not os.listdir(tmp_path)
