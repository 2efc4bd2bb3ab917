"""Test scripts that compare a candidate's results with what is right by our own rules (`plus_check.py`)."""

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
"""Entry points of which another result than an equal one is right (evalplus 0.3.1,
eval/_special_oracle.py)."""

KEPT = "kept_results"
"""The variable of `keeping_script` that holds the results of the solution as text."""
_CALL = re.compile(r"^agrees_on_all\((?P<candidate>\w+), (?P<right>[^\W\d]\w*), ", re.MULTILINE)
"""The end of a script that asks a function what is right."""
_INPUTS = re.compile(r"^ *inputs = (.*)$", re.MULTILINE)
_RESULTS = re.compile(r"^ *results = (.*)$", re.MULTILINE)
_ASSERTION = re.compile(
    r"^ *assertion\((\w+)\(\*inp\), .*, (\S+)\)$|^ *assert (\w+)\(.* <= (\S+)$", re.MULTILINE
)
"""The function under test and the tolerance, in a plus test as it stands on the hub."""
_OWN_CHECK = re.compile(r"^def (?:is_floats|assertion|check)\b.*\n(?:[ \t].*\n|[ \t]*\n)*", re.MULTILINE)
"""What it compares with, in place of which our own rules stand."""


def comparing_script(before: str, entry_point: str, right: str, inputs: str, atol: float) -> str:
    """Tests that compare the candidate with what is right, on all inputs, by our own rules.

    Args:
        before: statements that `right` and `inputs` need.
        right: expression of a function that is right, or of its results.
        inputs: expression of the arguments of each call.
        atol: the problem's absolute tolerance.
    """
    rule = RULES.get(entry_point, "")
    return f"{before}\n{_check()}\nagrees_on_all({entry_point}, {right}, {inputs}, {atol!r}, {rule!r})"


@cache
def _check() -> str:
    """Read as text: it is not run here, and imports numpy."""
    return Path(__file__).with_name("plus_check.py").read_text("utf-8")


def keeping_script(script: str) -> str | None:
    """As `script`, for a program that is the right function itself, which then runs once on each input and
    not twice; None where there is no such function. The results are in the variable KEPT.
    """
    call = _CALL.search(script)
    if call is None:
        return None
    arguments = script[call.start("candidate") :]
    return f"{script[: call.start()]}{_keeping()}\n{KEPT} = agrees_and_keeps({arguments}"


def script_with(script: str, results: str) -> str:
    """`script` with results, as text, in place of the function that is right."""
    call = _CALL.search(script)
    assert call is not None
    return script[: call.start("right")] + results + script[call.end("right") :]


@cache
def _keeping() -> str:
    """Without the import of what the script has already."""
    text = Path(__file__).with_name("plus_kept.py").read_text("utf-8")
    return re.sub(r"^from evalsuite.*\n", "", text, flags=re.MULTILINE)


def compared_script(published: str, entry_point: str) -> str:
    """The inputs and results of a plus test as it stands on the hub, compared by our own rules; raises
    UserError."""
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
        raise UserError("A plus test has another form than those that EvalPlus has on the hub.")
    return found
