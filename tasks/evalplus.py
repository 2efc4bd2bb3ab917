"""HumanEval+ and MBPP+ as EvalPlus releases them: inputs, and a reference solution for their results.

The tests call the candidate on every input and compare its result with the reference solution's, by our
own rules (`plus_check.py`). `base` has the inputs of the original benchmark, `plus` these and EvalPlus's
own: an answer must pass both to be right by plus on EvalPlus's leaderboard.
"""

import re
from collections.abc import Callable
from typing import Any

from evalsuite.data.refs import DatasetRef, Pin, Release
from evalsuite.scoring.plus_tests import comparing_script
from evalsuite.task import Task
from evalsuite.types import CodeProblem, Row

_REFERENCE = "reference_solution"

Shape = Callable[[Any], Any]
"""Restores the Python types that a value lost in JSON."""


def each(shape: Shape) -> Shape:
    return lambda values: [shape(value) for value in values]


def first(shape: Shape) -> Shape:
    return lambda arguments: [shape(arguments[0]), *arguments[1:]]


def second(shape: Shape) -> Shape:
    return lambda arguments: [arguments[0], shape(arguments[1]), *arguments[2:]]


def tuples(value: Any) -> Any:
    """Lists as tuples, at every depth."""
    return tuple(map(tuples, value)) if isinstance(value, list) else value


def sets(values: list[Any]) -> list[Any]:
    """Lists as sets; an empty list becomes a dict, as in the reference."""
    return [set(value) if value else {} for value in values]


def tuple_values(value: dict[Any, Any]) -> dict[Any, Any]:
    return {key: tuple(items) for key, items in value.items()}


ARGUMENTS: dict[int, Shape] = {
    **dict.fromkeys((2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579), each(tuple)),
    **dict.fromkeys((596, 616, 630, 726, 740, 744, 809), each(tuple)),
    **dict.fromkeys((63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473), each(each(tuple))),
    **dict.fromkeys((614, 780), each(each(tuple))),
    **dict.fromkeys((75, 413, 444, 753), first(each(tuple))),
    **dict.fromkeys((250, 307, 405, 446, 617, 720, 763, 808), first(tuple)),
    **dict.fromkeys((106, 750), second(tuple)),
    **dict.fromkeys((259, 278, 401, 445), each(lambda rows: tuple(map(_tuple_if_list, rows)))),
    **dict.fromkeys((580, 615, 791), tuples),
    115: first(sets),
    124: lambda arguments: (float(arguments[0]), complex(arguments[1])),
    252: first(complex),
    722: first(tuple_values),
}
"""Shapes of a call's arguments, by MBPP task number (evalplus 0.3.1, data/mbpp.py, release v0.2.0)."""


def _tuple_if_list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def humaneval_plus(row: Row) -> CodeProblem:
    return _problem(row, list)


def mbpp_plus(row: Row) -> CodeProblem:
    return _problem(row, ARGUMENTS.get(int(row["task_id"].removeprefix("Mbpp/")), list))


def _problem(row: Row, shape: Shape) -> CodeProblem:
    base = [shape(arguments) for arguments in row["base_input"]]
    plus = [shape(arguments) for arguments in row["plus_input"]]
    solution = row["prompt"] + row["canonical_solution"]
    tests = {"base": _script(row, solution, base), "plus": _script(row, solution, base + plus)}
    return CodeProblem(row["prompt"], solution, tests, row["entry_point"])


def _script(row: Row, solution: str, inputs: list[Any]) -> str:
    """The test script; it renames the reference solution, so that the entry point is the candidate's."""
    name, atol = row["entry_point"], float(row["atol"])
    solution = re.sub(rf"(?<![.\w]){name}\b", _REFERENCE, solution)
    return comparing_script(
        f"{solution}\ninf, nan = float('inf'), float('nan')", name, _REFERENCE, repr(inputs), atol
    )


def _task(name: str, title: str, data: DatasetRef, question: Callable[[Row], CodeProblem]) -> Task:
    return Task(name, title, data, "test", question, chance=None, comparability=2)


_COLUMNS = ("task_id", "prompt", "entry_point", "canonical_solution", "base_input", "plus_input", "atol")

TASKS = [
    _task(
        "humaneval_plus_release",
        "functions from docstrings, with the inputs that EvalPlus releases",
        DatasetRef(
            "evalplus/humanevalplus",
            _COLUMNS,
            "release",
            splits={"test": Pin(164, "b3b7249dc9af281c6391a29eee630e477ef8828a0b0b67c5d81b953a7087f858")},
            releases={
                "test": Release(
                    "release/HumanEvalPlus.jsonl.gz",
                    "HUMANEVAL_OVERRIDE_PATH",
                    "HumanEvalPlus-v0.1.10.jsonl",
                    "get_human_eval_plus",
                )
            },
        ),
        humaneval_plus,
    ),
    _task(
        "mbpp_plus_release",
        "short functions from a sentence, with the inputs that EvalPlus releases",
        DatasetRef(
            "evalplus/mbppplus",
            _COLUMNS,
            "release",
            splits={"test": Pin(378, "f00df9bd516078361776bc3cbe8adc9c85f058653593540439a812d95e52bc44")},
            releases={
                "test": Release(
                    "release/MbppPlus.jsonl.gz",
                    "MBPP_OVERRIDE_PATH",
                    "MbppPlus-v0.2.0.jsonl",
                    "get_mbpp_plus",
                )
            },
        ),
        mbpp_plus,
    ),
]
