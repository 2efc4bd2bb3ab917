"""The record of a model's smoke test, and what it means.

Public names: `SmokeRecord`, `LIMIT`, `JUMP`, `smoke_warning`, `smoke_line`, `jump_since`.
"""

from pydantic import BaseModel, ConfigDict

LIMIT = 1.9
"""Bits per byte that a trained model does not exceed on the better of both texts.

SmolLM2-135M needs 1.03 and 0.49, and 3.65 and 4.76 with the weights of its step 0 (docs/smoke.md, with the
command). The better text counts, since a model may be trained on prose or on programs alone.
"""
JUMP = 0.25
"""Bits per byte by which a text may become worse from one checkpoint of a training to the next."""


class SmokeRecord(BaseModel):
    """The smoke test before the first task: bits per byte of two short texts (`runs/smoke.py`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    passed: bool | None
    """False if the model cannot be a trained one; None if the engine gave no numbers."""
    english: float | None = None
    """Bits per byte of a passage of English prose."""
    program: float | None = None
    """Bits per byte of a short Python program."""
    limit: float = LIMIT
    """Bits per byte that a trained model does not exceed on the better of both texts."""
    problem: str = ""
    """Why it failed or gave no numbers."""

    @classmethod
    def of(cls, english: float, program: float) -> "SmokeRecord":
        """The record of two measured numbers."""
        passed = min(english, program) <= LIMIT
        problem = (
            f"the model needs {english:.2f} bits per byte of plain English and {program:.2f} of a short "
            f"program, a trained model less than {LIMIT} of one of them"
        )
        return cls(passed=passed, english=english, program=program, problem="" if passed else problem)


def smoke_warning(record: SmokeRecord) -> str:
    """One sentence on a smoke test without success; empty after a success."""
    if record.passed:
        return ""
    if record.passed is None:
        return f"The smoke test gave no number: {record.problem.rstrip('.')}."
    return (
        f"The smoke test failed: {record.problem.rstrip('.')}; the export is damaged (tensors exchanged, "
        "another tokenizer, norms off by one), or this is one of the first checkpoints of a training, which "
        "are legitimately random."
    )


def smoke_line(record: SmokeRecord | None) -> str:
    """The outcome for `--verbose`."""
    if record is None:
        return "No smoke test: --no-smoke, an engine without weights, or no answer was left to compute."
    if record.english is None or record.program is None:
        return smoke_warning(record)
    return (
        f"Smoke test: {record.english:.3f} bits per byte of plain English, {record.program:.3f} of a short "
        f"program (limit {record.limit:g} of the better one)."
    )


def jump_since(before: SmokeRecord | None, after: SmokeRecord | None) -> str:
    """What became worse by more than `JUMP` since an earlier checkpoint; empty if nothing did.

    Nothing is said where the earlier checkpoint had failed its own test.
    """
    if before is None or after is None or not before.passed:
        return ""
    pairs = {
        "plain English": (before.english, after.english),
        "a short program": (before.program, after.program),
    }
    worse = [
        f"of {name} from {earlier:.2f} to {later:.2f}"
        for name, (earlier, later) in pairs.items()
        if earlier is not None and later is not None and later - earlier > JUMP
    ]
    return f"bits per byte rose {' and '.join(worse)}" if worse else ""
