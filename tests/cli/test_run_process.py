"""`evalsuite run` in processes of its own: a hub that is away, and interrupts."""

import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.cli.tiny_run import arguments, process
from tests.runs.bench import PLUGIN, read_json, write_data


def test_a_hub_that_does_not_answer_is_noticed_at_once(tmp_path):
    began = time.monotonic()
    env = {"HF_ENDPOINT": "http://localhost:9", "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
    running = process("run", "--tasks", "mmlu,gsm8k", "--model", "8b", "--out", str(tmp_path / "out"), **env)
    out, err = running.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert (running.returncode, out) == (2, "")
    [line] = err.strip().splitlines()
    assert "'8b' (nvidia/Nemotron-H-8B-Base-8K) is not (or not fully) on this machine" in line
    assert "http://localhost:9 does not answer" in line
    assert not (tmp_path / "out").exists()


def test_control_c_ends_with_a_sentence_and_the_same_command_continues(cli, bench, model):
    """The interrupt comes while the engine works."""
    slow = PLUGIN.replace("max_tokens=6", "max_tokens=80").replace('stop=("\\n",), ', "")
    bench.plugin.write_text(slow, "utf-8")
    write_data(bench.data, 200)
    running = process(*arguments(bench, model))
    for line in running.stderr:
        if line == "evalsuite: scoring ...\n":
            break
    while not (bench.out / "responses.sqlite-wal").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == (
        "evalsuite: stopped; the answers so far are kept, the same command continues."
    )
    assert "Traceback" not in err
    assert read_json(bench.out / "run.json")["status"] == "running"
    assert cli(*arguments(bench, model)).code == 0
    assert read_json(bench.out / "run.json")["status"] == "complete"


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_control_c_and_a_polite_kill_during_the_start_are_no_traceback(bench, model, sign):
    running = process(*arguments(bench, model))
    assert running.stderr.readline() == "evalsuite: preparing ...\n"
    running.send_signal(sign)
    _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert err.splitlines()[-1].startswith("evalsuite: stopped;")
    assert "Traceback" not in err


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare of util-linux")
def test_a_finished_run_in_a_folder_that_cannot_be_written_is_shown(cli, bench, model):
    command = arguments(bench, model, "quiz", limit=2)
    first = cli(*command)
    assert first.code == 0
    words = shlex.join([sys.executable, "-m", "evalsuite", *command])
    mounts = f"mount --bind {bench.out} {bench.out} && mount -o remount,ro,bind {bench.out}"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f"{mounts} && {words}"], capture_output=True, text=True, check=False
    )
    if "mount" in done.stderr:
        pytest.skip("no right to mount")
    assert done.returncode == 0
    assert done.stdout == first.out
