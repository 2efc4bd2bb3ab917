"""HumanEval (Chen et al. 2021, arXiv:2107.03374) and HumanEval+ (Liu et al. 2023, arXiv:2305.01210).

Finish a function from its signature and docstring. HumanEval+ asks the same with many more tests.
"""

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.task import Task
from evalsuite.types import CodeProblem, Row

_COLUMNS = ("task_id", "prompt", "canonical_solution", "entry_point", "test")


def problem(row: Row, tests: str) -> CodeProblem:
    """The data set's `test` defines `check(candidate)`; `tests` is the name of such tests."""
    entry_point = row["entry_point"]
    script = f"{row['test']}\ncheck({entry_point})"
    return CodeProblem(row["prompt"], row["prompt"] + row["canonical_solution"], {tests: script}, entry_point)


def humaneval(row: Row) -> CodeProblem:
    return problem(row, "base")


def humaneval_plus(row: Row) -> CodeProblem:
    return problem(row, "plus")


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
