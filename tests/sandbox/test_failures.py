"""What happens to the sandbox is never a verdict, and never hangs."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time

import psutil
import pytest

from evalsuite.sandbox import Program, SandboxFailed, SandboxUnavailable, open_sandbox, worker

RIGHT = Program("def f(x): return x", "assert f(3) == 3")
SLEEPY = Program("import time\ndef f():\n    time.sleep(60)", "f()", cpu_seconds=5.0)
BUSY = {"namespaces": 4, "rlimits": 3}
"""Processes of a worker in which a program runs, by tier."""
NAMESPACES = shutil.which("unshare")

needs_unshare = pytest.mark.skipif(NAMESPACES is None, reason="needs unshare of util-linux")


def members(sandbox, number=0):
    """The worker's processes, outermost first."""
    outer = psutil.Process(sandbox._workers[number]._process.pid)
    return [outer, *outer.children(recursive=True)]


def killed_once_busy(sandbox, times):
    """Kills the worker while a program runs in it, and its successors, `times` in all."""
    killed = set()
    while len(killed) < times:
        try:
            outer, *inner = members(sandbox)
        except (AttributeError, psutil.NoSuchProcess):
            continue
        if outer.pid not in killed and 1 + len(inner) >= BUSY["namespaces"]:
            killed.add(outer.pid)
            outer.kill()
        time.sleep(0.01)


@pytest.mark.parametrize("which", [0, 1])
def test_an_idle_worker_that_is_killed_is_replaced(sandbox, which):
    assert sandbox.run([RIGHT])[0].passed
    process = members(sandbox)[which]
    process.kill()
    process.wait(10)
    assert sandbox.run([RIGHT])[0].passed


def test_a_program_whose_worker_is_killed_is_tried_again():
    code = "import time\ndef f():\n    time.sleep(1)\n    return 3"
    with open_sandbox(workers=1) as sandbox:
        killer = threading.Thread(target=killed_once_busy, args=(sandbox, 1))
        killer.start()
        (verdict,) = sandbox.run([Program(code, "assert f() == 3")])
        killer.join()
        assert verdict.passed


def test_a_program_whose_workers_are_killed_twice_has_no_verdict_and_the_others_have():
    with open_sandbox(workers=1) as sandbox:
        killer = threading.Thread(target=killed_once_busy, args=(sandbox, 2))
        killer.start()
        failure, verdict = sandbox.run([SLEEPY, RIGHT])
        killer.join()
        assert isinstance(failure, SandboxFailed)
        assert verdict.passed


def test_a_worker_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(worker, "_PATIENCE", 0.5)
    monkeypatch.setattr(worker, "_SLOWEST", 0.0)
    monkeypatch.setattr(worker, "_FAREWELL", 0.1)
    with open_sandbox(workers=1) as sandbox:
        assert sandbox.run([RIGHT])[0].passed
        for process in members(sandbox):
            process.suspend()
        told = sandbox._verdict(RIGHT)
        assert isinstance(told, SandboxFailed)
        assert "does not answer" in str(told)
        assert sandbox.run([RIGHT])[0].passed


def test_a_machine_without_room_for_files_is_no_verdict(sandbox, monkeypatch):
    def full(name):
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "memfd_create", full)
        (told,) = sandbox.run([RIGHT])
    assert isinstance(told, SandboxFailed)
    assert "Too many open files" in str(told)
    assert sandbox.run([RIGHT])[0].passed


def test_nothing_is_left_when_it_closes():
    with open_sandbox(workers=2) as sandbox:
        sandbox.run([RIGHT] * 4)
        processes = members(sandbox, 0) + members(sandbox, 1)
    assert psutil.wait_procs(processes, timeout=5)[1] == []


def test_nothing_is_left_when_the_caller_is_killed(tmp_path):
    script = """
        import pathlib, sys, threading, time
        from evalsuite.sandbox import Program, open_sandbox
        with open_sandbox(workers=1, tier=sys.argv[1], allow_unsafe=True) as sandbox:
            code = "import time\\ndef f():\\n    time.sleep(60)"
            threading.Thread(target=sandbox.run, args=([Program(code, "f()", cpu_seconds=20.0)],)).start()
            while sandbox._workers[0]._process is None:
                time.sleep(0.01)
            pathlib.Path(sys.argv[2]).write_text(str(sandbox._workers[0]._process.pid))
            time.sleep(60)
    """
    for tier in ("namespaces", "rlimits"):
        told = tmp_path / tier
        caller = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), tier, str(told)])
        processes = []
        deadline = time.monotonic() + 30
        while len(processes) < BUSY[tier] and time.monotonic() < deadline:
            time.sleep(0.05)
            if told.exists() and told.read_text():
                outer = psutil.Process(int(told.read_text()))
                processes = [outer, *outer.children(recursive=True)]
        assert len(processes) >= BUSY[tier]
        os.kill(caller.pid, signal.SIGKILL)
        caller.wait()
        assert psutil.wait_procs(processes, timeout=10)[1] == []


def run_elsewhere(tmp_path, shell="{command}", prelude="", tier=None):
    """A program's outcome in a process that a shell starts in an odd way."""
    told = tmp_path / "told"
    script = tmp_path / "script.py"
    script.write_text(
        f"{prelude}\nfrom pathlib import Path\nfrom evalsuite.sandbox import Program, SandboxUnavailable, "
        f"open_sandbox\ntry:\n    with open_sandbox(workers=1, tier={tier!r}) as sandbox:\n        told = "
        "sandbox.run([Program('def f(x): return x', 'assert f(3) == 3')])[0].outcome\nexcept "
        f"SandboxUnavailable as error:\n    told = str(error)\nPath({str(told)!r}).write_text(told)\n"
    )
    command = shell.format(command=f"{sys.executable} {script}")
    subprocess.run(["sh", "-c", command], check=True, timeout=120)
    return told.read_text()


def test_it_works_with_closed_standard_streams(tmp_path):
    assert run_elsewhere(tmp_path, shell="{command} <&- >&- 2>&-") == "passed"


@needs_unshare
def test_it_works_without_shared_memory(tmp_path):
    shell = "unshare -rm sh -c 'mount -t tmpfs -o ro none /dev/shm && {command}'"
    assert run_elsewhere(tmp_path, shell=shell) == "passed"


@needs_unshare
def test_it_works_where_the_disk_is_full(tmp_path):
    full = tmp_path / "full"
    full.mkdir()
    shell = (
        f"unshare -rm sh -c 'mount -t tmpfs -o size=4k,nr_inodes=9 none {full} && "
        f"{{{{ head -c 9999 /dev/zero > {full}/f || true; }}}} 2>/dev/null && TMPDIR={full} {{command}}'"
    )
    assert run_elsewhere(tmp_path, shell=shell) == "passed"


@needs_unshare
def test_where_the_kernel_refuses_namespaces_it_says_what_to_enable(tmp_path):
    shell = "unshare -rm sh -c 'echo 0 > /proc/sys/user/max_user_namespaces && {command}'"
    told = run_elsewhere(tmp_path, shell=shell, tier="namespaces")
    assert "namespaces: unshare: No space left on device" in told
    assert "set sysctl user.max_user_namespaces=10000" in told


def test_without_any_folder_for_files_it_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(SandboxUnavailable, match="nowhere"), open_sandbox():
        pass


@pytest.mark.slow
def test_it_works_in_a_large_process_with_threads(tmp_path):
    prelude = "import torch\ntorch.ones(10) @ torch.ones(10)\nheld = bytearray(1 << 30)"
    assert run_elsewhere(tmp_path, prelude=prelude) == "passed"
