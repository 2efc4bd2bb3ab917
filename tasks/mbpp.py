"""MBPP (Austin et al. 2021, arXiv:2108.07732), sanitized MBPP, and MBPP+ (Liu et al. 2023, arXiv:2305.01210).

The model writes a function from one sentence and an example call. MBPP+ has many more tests.
"""

import re

from evalsuite.data.refs import DatasetRef, Pin
from evalsuite.scoring.plus_tests import compared_script, published_entry_point
from evalsuite.task import Task
from evalsuite.types import CodeProblem, Row


def mbpp(row: Row) -> CodeProblem:
    needed = row["test_setup_code"]
    return CodeProblem(row["text"], f"{row['code']}\n{needed}", _tests(row, needed), _entry_point(row))


def mbpp_sanitized(row: Row) -> CodeProblem:
    return CodeProblem(row["prompt"], _solution(row), _tests(row, *row["test_imports"]), _entry_point(row))


def mbpp_plus(row: Row) -> CodeProblem:
    """The problem with its published tests (`plus`) and the same inputs under our rules (`plus_compared`)."""
    published = row["test"]
    entry_point = published_entry_point(published)
    tests = _tests(row, *row["test_imports"]) | {
        "plus": published,
        "plus_compared": compared_script(published, entry_point),
    }
    return CodeProblem(row["prompt"], _solution(row), tests, entry_point)


def _entry_point(row: Row) -> str:
    """The solution's last function that every assert calls; empty if there is none."""
    defined = re.findall(r"^(?:def|class) +(\w+)", row["code"], re.MULTILINE)
    asserts = row["test_list"]
    called = [name for name in defined if all(re.search(rf"\b{name} *\(", line) for line in asserts)]
    return called[-1] if called else ""


def _solution(row: Row) -> str:
    """The solution with the tests' imports, so that it also passes tests without them."""
    return "\n".join((*row["test_imports"], row["code"]))


def _tests(row: Row, *before: str) -> dict[str, str]:
    """The asserts in three forms.

    `base` puts the set-up code before them. The references leave it out, so that some asserts hold only if
    the answer defines the same names: `asserts` has all asserts alone (nvidia-lm-eval 25.5), `first_three`
    the asserts that lm-eval 0.4.13 runs.
    """
    asserts = row["test_list"]
    return {
        "base": "\n".join((*before, *asserts)),
        "asserts": "\n".join(asserts),
        "first_three": "\n".join(asserts[:3]),
    }


TASKS = [
    Task(
        name="mbpp",
        title="short functions from a sentence",
        data=DatasetRef(
            "google-research-datasets/mbpp",
            ("task_id", "text", "code", "test_list", "test_setup_code"),
            "full",
            splits={
                "prompt": Pin(10, "fe6148446adbf6268d9622a142cf416704a5beee3a8f323b771c4a865f31e0f4"),
                "test": Pin(500, "de67e46da46781044db6f28768a09365e2e97fd5e3e8dad4be980ded1c8d7a61"),
            },
        ),
        split="test",
        question=mbpp,
        chance=None,
        comparability=1,
    ),
    Task(
        name="mbpp_sanitized",
        title="short functions from a sentence, checked by hand",
        data=DatasetRef(
            "google-research-datasets/mbpp",
            ("task_id", "prompt", "code", "test_imports", "test_list"),
            "sanitized",
            splits={
                "prompt": Pin(7, "bd505471808e049155a928eab6edec5a76a90a49c02149240c0399190858d503"),
                "test": Pin(257, "d806246ea09e8fe0b18a6d2a3cafe3376ab3b2fecdd01b65aa080f24b29f4a3a"),
            },
        ),
        split="test",
        question=mbpp_sanitized,
        chance=None,
        comparability=2,
    ),
    Task(
        name="mbpp_plus",
        title="short functions from a sentence, with EvalPlus's tests",
        data=DatasetRef(
            "evalplus/mbppplus",
            ("task_id", "prompt", "code", "test_imports", "test_list", "test"),
            splits={"test": Pin(378, "edea777e45e77892c6362aee5ee950288d3451de4bfc58fabb0822bfe78d9ab9")},
        ),
        split="test",
        question=mbpp_plus,
        chance=None,
        comparability=2,
    ),
]
