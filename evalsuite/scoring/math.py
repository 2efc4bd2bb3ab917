r"""Verdicts on mathematics, as functions that worker processes call (`workers.py`).

Each takes the gold answer or solution and a whole completion, and returns JSON values: `correct`, `extracted` (what
was judged, for people to read), `decided_by`, and `values`, further metrics by name. The libraries' own time limits
(math-verify: 5 s for each parse and each comparison, lm-eval: 5 s, the older grader: 10 s a step) mean "not equal"
here as in the references. They use signals: call these functions in a main thread only. What exceeds the hard limit
of the worker gets no verdict at all.
"""

from typing import Any

Verdict = dict[str, Any]

SHOWN = 1000
"""Characters of an extracted answer that are kept for people to read; all of it is judged."""
NOTHING = ["[invalid]"]
"""What a text becomes in which math-verify finds nothing: equal to another such text (nvidia-lm-eval 25.5)."""


def math_verdict(gold: str, text: str) -> Verdict:
    """Whether math-verify finds the gold answer in a whole completion.

    The rule of nvidia-lm-eval 25.5 for GSM8K: `verify(parse(gold), parse(text))` with defaults (LaTeX
    and plain expressions, boxed first).
    """
    from math_verify import parse, verify

    parsed = parse(text)
    correct = bool(verify(parse(gold), parsed))
    return {"correct": correct, "extracted": _shown(parsed), "decided_by": "math_verify"}


def nvidia_math_verdict(gold_solution: str, text: str) -> Verdict:
    r"""Either of two judges: math-verify on both whole texts, or the older grader on both last `\boxed{}`.

    The rule of nvidia-lm-eval 25.5 for MATH (`adlr_minerva_math_nemo/nemo_utils.py`), with its quirk: a gold
    solution and a completion in neither of which math-verify finds anything are equal. `decided_by` says which
    judge called the completion right: math_verify, math_grader, both or neither.
    """
    from math_verify import parse, verify

    from evalsuite.scoring.math_grader import extract_boxed, math_equal

    parsed = parse(text)
    boxed = extract_boxed(text)
    by_math_verify = bool(verify(parse(gold_solution) or NOTHING, parsed or NOTHING))
    by_grader = math_equal(extract_boxed(gold_solution), boxed)
    judges = {(True, True): "both", (True, False): "math_verify", (False, True): "math_grader"}
    return {
        "correct": by_math_verify or by_grader,
        "extracted": _shown(parsed) if boxed is None else boxed[:SHOWN],
        "decided_by": judges.get((by_math_verify, by_grader), "neither"),
    }


def minerva_math_verdict(gold_solution: str, text: str) -> Verdict:
    """lm-eval 0.4.13's `minerva_math`: its own exact match on the "Final Answer" sentence, and math-verify.

    lm-eval's functions are called; `values` holds its second metric, math_verify.
    """
    from lm_eval.tasks.minerva_math import utils

    answer = utils.normalize_final_answer(_boxed_by_lm_eval(utils, gold_solution))
    found = utils.process_results({"solution": gold_solution, "answer": answer}, [text])
    extracted = utils.normalize_final_answer(utils.get_unnormalized_answer(text))
    return {
        "correct": bool(found["exact_match"]),
        "extracted": extracted[:SHOWN],
        "decided_by": "minerva_math",
        "values": {"math_verify": float(found["math_verify"])},
    }


def hendrycks_math_verdict(gold_solution: str, text: str) -> Verdict:
    """lm-eval 0.4.13's `hendrycks_math`: what stands between the first and the last `$` equals the boxed answer."""
    from lm_eval.tasks.hendrycks_math import utils

    _boxed_by_lm_eval(utils, gold_solution)
    found = utils.process_results({"solution": gold_solution}, [text])
    enclosed = text[text.find("$") + 1 : text.rfind("$")] if text.count("$") > 1 else text
    return {
        "correct": bool(found["exact_match"]),
        "extracted": enclosed.strip()[:SHOWN],
        "decided_by": "hendrycks_math",
    }


def _boxed_by_lm_eval(utils: Any, gold_solution: str) -> str:
    boxed = utils.last_boxed_only_string(gold_solution)
    if boxed is None:
        raise ValueError(r"the gold solution has no \boxed{} answer")
    return utils.remove_boxed(boxed)


def _shown(parsed: list) -> str | None:
    """The last reading: the text as found, where math-verify keeps it."""
    try:
        return str(parsed[-1])[:SHOWN] if parsed else None
    except Exception:  # sympy cannot print it: an integer beyond Python's limit of digits
        return None
