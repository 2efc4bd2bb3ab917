"""No hostile program passes, none leaves anything behind, and the next program's verdict is right."""

import os
from pathlib import Path

import psutil
import pytest

from evalsuite.sandbox import Program, ProgramOutcome, open_sandbox
from tests.sandbox import hostile, hostile_answers, hostile_more
from tests.sandbox.conftest import needs_bubblewrap

ALL = [
    *hostile.FILES,
    *hostile.NETWORK,
    *hostile.PROCESSES,
    *hostile.SIGNALS,
    *hostile.KERNEL,
    *hostile.DESCRIPTORS,
    *hostile_more.RESOURCES,
    *hostile_more.EARLY_ENDS,
    *hostile_more.LIES,
    *hostile_answers.NAMES,
    *hostile_answers.ARGUMENTS,
    *hostile_answers.ANSWERS,
    *hostile_answers.MESSAGES,
    *hostile_answers.NAPS,
]
CASES = [
    pytest.param(tier, mode, attack, marks=marks, id=f"{tier}-{mode}-{attack.name}")
    for tier, mode, marks in (
        ("namespaces", "compare", ()),
        ("namespaces", "token", (pytest.mark.slow,)),
        ("bubblewrap", "compare", (pytest.mark.slow, needs_bubblewrap)),
        ("bubblewrap", "token", (pytest.mark.slow, needs_bubblewrap)),
    )
    for attack in ALL
    if tier in attack.tiers and not (mode == "token" and attack.only_compare)
]
RIGHT = Program("def double(x): return 2 * x", "assert double(4) == 8")
WRONG = Program("def double(x): return 3 * x", "assert double(4) == 8")


@pytest.fixture(scope="module")
def sandboxes():
    """One worker of each tier, opened where it is asked for; the environment of the harness holds a
    secret."""
    opened = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALSUITE_SECRET", "secret")

        def of(tier):
            if tier not in opened:
                context = open_sandbox(workers=1, tier=tier)
                opened[tier] = (context, context.__enter__())
            return opened[tier][1]

        yield of
    for context, _ in opened.values():
        context.__exit__(None, None, None)


def outside(process):
    """What a program could leave behind: processes, files, sockets, System V objects."""
    folders = ("/dev/shm", "/var/tmp", str(hostile.REPOSITORY), "/")
    return {
        "processes": {child.pid for child in psutil.Process(process).children(recursive=True)},
        "files": {folder: sorted(os.listdir(folder)) for folder in folders},
        "ipc": [
            len(Path(f"/proc/sysvipc/{kind}").read_text().splitlines()) for kind in ("shm", "sem", "msg")
        ],
        "abstract": sorted(
            line for line in Path("/proc/net/unix").read_text().splitlines() if "here" in line
        ),
    }


def test_more_than_two_hundred_attacks_are_tried():
    assert len({attack.name for attack in ALL}) == len(ALL) > 200


@pytest.mark.parametrize(("tier", "mode", "attack"), CASES)
def test_an_attack_does_not_pass_and_leaves_nothing_behind(sandboxes, tier, mode, attack):
    sandbox = sandboxes(tier)
    assert sandbox.run([RIGHT])[0].passed
    worker = sandbox._workers[0]._process.pid
    before = outside(worker)

    (verdict,) = sandbox.run([attack.program(mode)])
    after = outside(worker)
    right, wrong = sandbox.run([RIGHT, WRONG])

    assert verdict.outcome in attack.outcomes, verdict
    assert verdict.mode == mode
    assert sandbox._workers[0]._process.pid == worker, "the worker was replaced"
    assert after == before
    assert right.passed
    assert wrong.outcome is ProgramOutcome.FAILED
