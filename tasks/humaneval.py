"""HumanEval (Chen et al. 2021, arXiv:2107.03374) and HumanEval+ (Liu et al. 2023, arXiv:2305.01210).

Finish a function from its signature and docstring. HumanEval+ asks the same with many more tests.
"""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import CodeProblem, Row

_COLUMNS = ("task_id", "prompt", "canonical_solution", "entry_point", "test")

_SWAPPED = "_poly(*candidate(*inp), inp)"
"""What the plus test of HumanEval/32 checks: a root is taken for a polynomial, so no right answer passes."""
_MENDED = "abs(_poly(*inp, candidate(*inp)))"


def humaneval(row: Row) -> CodeProblem:
    return CodeProblem(row["prompt"], _solution(row), {"base": _script(row)}, row["entry_point"])


def humaneval_plus(row: Row) -> CodeProblem:
    """`plus` are the tests as published, `plus_mended` the same with the one that no answer passes put right."""
    published = _script(row)
    tests = {"plus": published, "plus_mended": published.replace(_SWAPPED, _MENDED)}
    unpassable = ("plus",) if _SWAPPED in published else ()
    return CodeProblem(row["prompt"], _solution(row), tests, row["entry_point"], unpassable)


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
        comparability=1,
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
        comparability=1,
    ),
]
