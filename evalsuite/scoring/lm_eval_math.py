"""Scores MATH with the functions of lm-eval 0.4.13, which worker processes call like those of `math.py`.

Their wall-clock limits (`signal.alarm`: 5 s, also math-verify's) count CPU time here, so that a busy machine
gives the same verdicts. Only workers import this module: importing its libraries takes seconds, which no
call's limit should include.
"""

from types import ModuleType

from lm_eval.tasks.hendrycks_math import utils as hendrycks
from lm_eval.tasks.minerva_math import utils as minerva

from evalsuite.scoring.cpu_limit import alarms_of_cpu_time
from evalsuite.scoring.math import SHOWN, MathVerdict


def minerva_math_verdict(gold_solution: str, text: str) -> MathVerdict:
    """`minerva_math`: exact match of the "Final Answer" sentence (sympy, 5 s); `values` has math-verify."""
    answer = minerva.normalize_final_answer(_boxed(minerva, gold_solution))
    with alarms_of_cpu_time():
        found = minerva.process_results({"solution": gold_solution, "answer": answer}, [text])
    extracted = minerva.normalize_final_answer(minerva.get_unnormalized_answer(text))
    return {
        "correct": bool(found["exact_match"]),
        "extracted": extracted[:SHOWN],
        "decided_by": "minerva_math",
        "values": {"math_verify": float(found["math_verify"])},
    }


def hendrycks_math_verdict(gold_solution: str, text: str) -> MathVerdict:
    """`hendrycks_math`: whether the text between the first and last `$` equals the boxed answer."""
    _boxed(hendrycks, gold_solution)
    found = hendrycks.process_results({"solution": gold_solution}, [text])
    enclosed = text[text.find("$") + 1 : text.rfind("$")] if text.count("$") > 1 else text
    return {
        "correct": bool(found["exact_match"]),
        "extracted": enclosed.strip()[:SHOWN],
        "decided_by": "hendrycks_math",
    }


def _boxed(utils: ModuleType, gold_solution: str) -> str:
    boxed = utils.last_boxed_only_string(gold_solution)
    if boxed is None:
        raise ValueError(r"the gold solution has no \boxed{} answer")
    return str(utils.remove_boxed(boxed))


# The first call builds the parsers' tables; on a busy machine it could exceed lm-eval's wall-clock limits.
minerva_math_verdict(r"\boxed{1}", "Final Answer: The final answer is $1$. I hope it is correct.")
