"""HumanEval (Chen et al. 2021, arXiv:2107.03374) and HumanEval+ (Liu et al. 2023, arXiv:2305.01210).

The model completes a function from its signature and docstring. HumanEval+ has many more tests.
"""

import re

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.scoring.plus_tests import compared_script
from evalsuite.task import Task
from evalsuite.types import CodeProblem, Row

_COLUMNS = ("task_id", "prompt", "canonical_solution", "entry_point", "test")

_SWAPPED = "_poly(*candidate(*inp), inp)"
"""The mistake in HumanEval/32's plus test: it takes a root for a polynomial, so no right answer passes."""


def humaneval(row: Row) -> CodeProblem:
    """The problem with its published tests (`base`) and the same tests with helpers (`own_helpers`).

    `own_helpers` contains the prompt's other functions. Without them, a candidate that changes these
    functions changes the tests.
    """
    published = _script(row)
    tests = {"base": published, "own_helpers": f"{_helpers(row, published)}{published}"}
    return CodeProblem(row["prompt"], _solution(row), tests, row["entry_point"])


def humaneval_plus(row: Row) -> CodeProblem:
    """The problem with its published tests (`plus`) and the same inputs under our rules (`plus_compared`)."""
    published = _script(row)
    compared = compared_script(row["test"], row["entry_point"])
    unpassable = ("plus",) if _SWAPPED in published else ()
    tests = {"plus": published, "plus_compared": compared}
    return CodeProblem(row["prompt"], _solution(row), tests, row["entry_point"], unpassable)


def _helpers(row: Row, tests: str) -> str:
    """The prompt's functions, other than the entry point, that the tests call, with their imports."""
    parts = re.split(r"^(?=def )", row["prompt"], flags=re.MULTILINE)
    used = [
        part
        for part in parts[1:]
        if (name := part[4:].partition("(")[0]) != row["entry_point"] and re.search(rf"\b{name}\(", tests)
    ]
    return parts[0] + "".join(used) if used else ""


def _solution(row: Row) -> str:
    return str(row["prompt"]) + str(row["canonical_solution"])


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
