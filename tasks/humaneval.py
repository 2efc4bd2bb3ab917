"""HumanEval (Chen et al. 2021, arXiv:2107.03374) and HumanEval+ (Liu et al. 2023, arXiv:2305.01210).

Finish a function from its signature and docstring. HumanEval+ asks the same with many more tests.
"""

import re

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.scoring.plus_tests import compared_script
from evalsuite.task import Task
from evalsuite.types import CodeProblem, Row

_COLUMNS = ("task_id", "prompt", "canonical_solution", "entry_point", "test")

_SWAPPED = "_poly(*candidate(*inp), inp)"
"""What the plus test of HumanEval/32 checks: a root is taken for a polynomial, so no right answer passes."""


def humaneval(row: Row) -> CodeProblem:
    """`base` are the tests as published, `own_helpers` the same with the prompt's other functions in them:
    otherwise a candidate that changes these changes the tests.
    """
    published = _script(row)
    tests = {"base": published, "own_helpers": f"{_helpers(row, published)}{published}"}
    return CodeProblem(row["prompt"], _solution(row), tests, row["entry_point"])


def humaneval_plus(row: Row) -> CodeProblem:
    """`plus` are the tests as published, `plus_compared` their inputs and results, compared by our own
    rules."""
    published = _script(row)
    compared = compared_script(row["test"], row["entry_point"])
    unpassable = ("plus",) if _SWAPPED in published else ()
    tests = {"plus": published, "plus_compared": compared}
    return CodeProblem(row["prompt"], _solution(row), tests, row["entry_point"], unpassable)


def _helpers(row: Row, tests: str) -> str:
    """The functions of the prompt that the tests use besides the entry point, with what they need."""
    parts = re.split(r"^(?=def )", row["prompt"], flags=re.MULTILINE)
    used = [
        part
        for part in parts[1:]
        if (name := part[4:].partition("(")[0]) != row["entry_point"] and re.search(rf"\b{name}\(", tests)
    ]
    return parts[0] + "".join(used) if used else ""


def _solution(row: Row) -> str:
    return row["prompt"] + row["canonical_solution"]


def _script(row: Row) -> str:
    """The data set's `test` defines `check(candidate)`."""
    return f"{row['test']}\ncheck({row['entry_point']})"


TASKS = [
    Task(
        name="humaneval",
        title="functions from docstrings",
        data=DatasetRef(
            "openai/openai_humaneval",
            _COLUMNS,
            "openai_humaneval",
            splits={"test": Pin(164, "e5ea46f61edfa7e3cbd5a86af0fb11e4a8a1048d9b905f2436be8bcdcf66f6d6")},
        ),
        split="test",
        question=humaneval,
        chance=None,
        comparability=2,
    ),
    Task(
        name="humaneval_plus",
        title="functions from docstrings, with EvalPlus's tests",
        data=DatasetRef(
            "evalplus/humanevalplus",
            _COLUMNS,
            splits={"test": Pin(164, "bf8d2340c4ab60fc0bb566fd785859f3e6d605d61c12c38a256e2314ce502cc7")},
        ),
        split="test",
        question=humaneval_plus,
        chance=None,
        comparability=2,
    ),
]
