"""Makes test scripts that compare results with expected ones by evalsuite's rules (`plus_check.py`)."""

import re
from functools import cache
from pathlib import Path

from evalsuite.errors import UserError

RULES = {
    "find_zero": "a_root",
    "digit_distance_nums": "digits_apart",
    "surface_Area": "pyramid_surface",
    **dict.fromkeys(("check_str", "text_match_three", "text_starta_endb"), "found_or_not"),
    **dict.fromkeys(("similar_elements", "find_char_long", "common_in_nested_lists"), "equal_sets"),
    **dict.fromkeys(("extract_singly", "larg_nnum", "find_dissimilar", "Diff"), "equal_sets"),
}
"""Rules of entry points that accept other than equal results (evalplus 0.3.1, eval/_special_oracle.py)."""

KEPT = "kept_results"
"""Variable in `keeping_script` for the solution's results as text."""
_CALL = re.compile(r"^agrees_on_all\((?P<candidate>\w+), (?P<right>[^\W\d]\w*), ", re.MULTILINE)
"""The end of a script that computes expected results with a function."""
_INPUTS = re.compile(r"^ *inputs = (.*)$", re.MULTILINE)
_RESULTS = re.compile(r"^ *results = (.*)$", re.MULTILINE)
_ASSERTION = re.compile(
    r"^ *assertion\((\w+)\(\*inp\), .*, (\S+)\)$|^ *assert (\w+)\(.* <= (\S+)$", re.MULTILINE
)
"""The function under test and the tolerance, in a published plus test."""
_OWN_CHECK = re.compile(r"^def (?:is_floats|assertion|check)\b.*\n(?:[ \t].*\n|[ \t]*\n)*", re.MULTILINE)
"""The published comparison, which evalsuite's rules replace."""


def comparing_script(before: str, entry_point: str, right: str, inputs: str, atol: float) -> str:
    """A script that compares the candidate's results with expected ones on all inputs, by evalsuite's rules.

    Args:
        before: statements that `right` and `inputs` need.
        right: expression of the reference function, or of its results.
        inputs: expression of the arguments of each call.
        atol: the problem's absolute tolerance.
    """
    rule = RULES.get(entry_point, "")
    return f"{before}\n{_check()}\nagrees_on_all({entry_point}, {right}, {inputs}, {atol!r}, {rule!r})"


@cache
def _check() -> str:
    """The text of `plus_check.py`, which is not run in this process, since it imports numpy."""
    return Path(__file__).with_name("plus_check.py").read_text("utf-8")


def keeping_script(script: str) -> str | None:
    """`script` for the reference function itself, run once per input; None if there is no such function.

    The script stores the results in the variable KEPT.
    """
    call = _CALL.search(script)
    if call is None:
        return None
    arguments = script[call.start("candidate") :]
    return f"{script[: call.start()]}{_keeping()}\n{KEPT} = agrees_and_keeps({arguments}"


def script_with(script: str, results: str) -> str:
    """`script` with results, as text, in place of the reference function."""
    call = _CALL.search(script)
    assert call is not None
    return script[: call.start("right")] + results + script[call.end("right") :]


@cache
def _keeping() -> str:
    """The text of `plus_kept.py` without its import, which the script already contains."""
    text = Path(__file__).with_name("plus_kept.py").read_text("utf-8")
    return re.sub(r"^from evalsuite.*\n", "", text, flags=re.MULTILINE)


def compared_script(published: str, entry_point: str) -> str:
    """A script with a published plus test's inputs and results and evalsuite's rules; raises UserError."""
    inputs, assertion = _found(_INPUTS, published), _found(_ASSERTION, published)
    results = _RESULTS.search(published)
    before = _OWN_CHECK.sub("", published[: inputs.start()])
    right = results[1] if results else "ref_func"
    return comparing_script(before, entry_point, right, inputs[1], float(assertion[2] or assertion[4]))


def published_entry_point(published: str) -> str:
    """The function that a plus test of MBPP+ calls; raises UserError."""
    return _found(_ASSERTION, published)[1]


def _found(pattern: re.Pattern[str], test: str) -> re.Match[str]:
    found = pattern.search(test)
    if found is None:
        raise UserError("A plus test does not have the form of EvalPlus's published tests.")
    return found
