"""Scores a task by the better of its forms (OLMES, Gu et al. 2024, arXiv:2406.08446)."""

from collections.abc import Sequence

from evalsuite.results.runlog import BestForm, TaskRecord

REMARK = (
    "the score is the better of two forms; if they are close, it is too high on average, by at most 0.4 "
    "standard errors of their difference"
)
"""The larger of two normal scores with the same mean exceeds it by sd(difference) / sqrt(2 pi) on average."""


def best_forms(tasks: Sequence[TaskRecord]) -> tuple[BestForm, ...]:
    """One record per task with two or more forms that all have a score; the first form wins ties."""
    rivals: dict[str, list[TaskRecord]] = {}
    for task in tasks:
        if task.best_of:
            rivals.setdefault(task.best_of, []).append(task)
    return tuple(
        _best(name, forms)
        for name, forms in rivals.items()
        if len(forms) > 1 and all(form.metrics for form in forms)
    )


def _best(name: str, forms: Sequence[TaskRecord]) -> BestForm:
    scores = {form.name: form.metrics[form.headline] for form in forms}
    chosen = max(forms, key=lambda form: scores[form.name].value)
    return BestForm(
        name=name,
        chosen=chosen.name,
        metric=chosen.headline,
        score=scores[chosen.name],
        forms={form: score.value for form, score in scores.items()},
    )
