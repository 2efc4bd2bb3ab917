"""Checks that end their process, leave the device unusable, or never end cost their own row."""

import os
import signal
import time

import pytest
import torch

from evalsuite.engine.native.selftest.checks import PathCheck, PlannedCheck, failed_row
from evalsuite.engine.native.selftest.isolated import ITSELF, MOST_LOST, isolated

NAMES = ("first", "second", "third")
SECONDS = 60.0
"""A process imports torch within it; a check that hangs takes as long."""


def planned(device, harm):
    """Three checks; the second one does harm."""

    def run(row, name):
        if name == "second":
            return HARM[harm](row)
        return row

    for name in NAMES:
        row = PathCheck(name, "path", "model", difference=0.0)
        yield PlannedCheck(row, lambda row=row, name=name: run(row, name))


def nothing_planned(device):
    raise RuntimeError("the driver is gone")
    yield


def all_deadly(device):
    for number in range(3 * MOST_LOST):
        yield PlannedCheck(PathCheck(f"check {number}", "", ""), lambda: os._exit(3))


def poisoned(row):
    """The device answers no more in this process."""

    def refused(*args, **options):
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    torch.ones = refused
    return failed_row(row, RuntimeError("CUDA error: an illegal memory access was encountered"))


HARM = {
    "killed": lambda row: os.kill(os.getpid(), signal.SIGSEGV),
    "exits": lambda row: os._exit(7),
    "poisoned": poisoned,
    "hangs": lambda row: time.sleep(10_000),
}


def verdicts(harm, seconds=SECONDS):
    return {row.part: row.verdict for row in isolated(planned, ("cpu", harm), seconds)}


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        pytest.param("killed", "ERROR: its process ended with exit code -11", marks=pytest.mark.slow),
        pytest.param("exits", "ERROR: its process ended with exit code 7", marks=pytest.mark.slow),
        ("poisoned", "ERROR: RuntimeError: CUDA error: an illegal memory access was encountered"),
    ],
)
def test_the_other_checks_run_in_a_new_process(harm, said):
    assert verdicts(harm) == {"first": "ok", "second": said, "third": "ok"}


@pytest.mark.slow
def test_a_check_that_hangs_is_ended():
    assert verdicts("hangs", 30.0)["second"] == "ERROR: no answer within 30 s"
    assert verdicts("hangs", 30.0)["third"] == "ok"


def test_a_process_that_cannot_begin_is_said_once():
    [row] = isolated(nothing_planned, ("cpu",), SECONDS)
    assert row.part == ITSELF
    assert row.verdict == "ERROR: its process ended with exit code 1"


@pytest.mark.slow
def test_too_many_lost_processes_end_the_test():
    rows = [*isolated(all_deadly, ("cpu",), SECONDS)]
    assert len(rows) == MOST_LOST + 1
    assert rows[-1].problem == f"the remaining checks were not run, since {MOST_LOST} processes were lost"
