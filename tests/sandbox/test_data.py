"""Canonical solutions of the public benchmarks pass, in the mode that a program cannot forge."""

from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from evalsuite.sandbox import Program, open_sandbox
from evalsuite.scoring.plus_tests import published_entry_point
from tests.golden.golden import SHARED, needs_shared

CPU_SECONDS = 60.0
EVERY = 25
"""A sample of the problems runs every day, all of them with the slow tests."""


def rows(pattern):
    return [row for path in sorted(SHARED.glob(pattern)) for row in pq.read_table(path).to_pylist()]


def humaneval(pattern):
    return {
        row["task_id"]: Program(
            row["prompt"] + row["canonical_solution"],
            f"{row['test']}\ncheck({row['entry_point']})",
            entry_point=row["entry_point"],
        )
        for row in rows(pattern)
    }


def mbpp_plus():
    return {
        row["task_id"]: Program(row["code"], row["test"], entry_point=published_entry_point(row["test"]))
        for row in rows("evalplus/mbppplus/data/*.parquet")
    }


def mbpp():
    return {
        row["task_id"]: Program(row["code"], "\n".join([*row["test_imports"], *row["test_list"]]))
        for row in rows("google-research-datasets/mbpp/sanitized/test*.parquet")
    }


BENCHMARKS = {
    "humaneval": (lambda: humaneval("openai/openai_humaneval/openai_humaneval/*.parquet"), 164, {}),
    # Its published tests call `_poly` with the coefficients spread out, which no solution passes.
    "humaneval+": (
        lambda: humaneval("evalplus/humanevalplus/data/*.parquet"),
        164,
        {"HumanEval/32": ("error", "Value after * must be an iterable, not float")},
    ),
    "mbpp": (mbpp, 257, {}),
    # Its answers have 900 MiB as text; in one process with its tests it passes.
    "mbpp+": (mbpp_plus, 378, {255: ("error", "a message of more than 64 MiB")}),
}


def outcomes(programs, workers=None):
    with open_sandbox(workers) as sandbox:
        return dict(zip(programs, sandbox.run(list(programs.values())), strict=True))


def limited(programs):
    return {
        name: replace(program, cpu_seconds=CPU_SECONDS, memory_mb=4096) for name, program in programs.items()
    }


@needs_shared
@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_sample_of_canonical_solutions_passes(name):
    load, count, odd = BENCHMARKS[name]
    programs = load()
    assert len(programs) == count
    some = {key: program for key, program in list(programs.items())[::EVERY] if key not in odd}
    verdicts = outcomes(limited(some))
    assert {key: verdict for key, verdict in verdicts.items() if not verdict.passed} == {}
    assert {verdict.mode for verdict in verdicts.values()} == {"compare"}


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("name", BENCHMARKS)
def test_all_canonical_solutions_pass(name):
    load, _, odd = BENCHMARKS[name]
    verdicts = outcomes(limited(load()))
    told = {
        key: (verdict.outcome.value, verdict.detail)
        for key, verdict in verdicts.items()
        if not verdict.passed
    }
    assert told.keys() == odd.keys()
    assert all(told[key][0] == outcome and detail in told[key][1] for key, (outcome, detail) in odd.items())
    assert {verdict.mode for verdict in verdicts.values()} == {"compare"}


@needs_shared
@pytest.mark.slow
def test_an_answer_that_is_too_large_to_leave_its_process_passes_within_it():
    program = replace(mbpp_plus()[255], mode="token")
    assert outcomes(limited({255: program}))[255].passed


@needs_shared
@pytest.mark.slow
@pytest.mark.parametrize("name", ["humaneval", "mbpp"])
def test_solutions_with_an_operator_changed_do_not_pass_by_the_sandboxs_doing(name):
    """Both modes give the same verdict on broken solutions: neither hides a failure."""
    load, _, _ = BENCHMARKS[name]
    broken = {
        key: replace(program, code=program.code.replace(" + ", " - ").replace("<", ">"))
        for key, program in load().items()
        if " + " in program.code or "<" in program.code
    }
    compared = outcomes({key: replace(program, mode="compare") for key, program in broken.items()})
    together = outcomes({key: replace(program, mode="token") for key, program in broken.items()})
    assert {key: verdict.outcome for key, verdict in compared.items()} == {
        key: verdict.outcome for key, verdict in together.items()
    }
    assert sum(verdict.passed for verdict in compared.values()) < len(broken) / 2
