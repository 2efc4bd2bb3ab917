"""Finds the differences between two runs besides the model.

Public names: `run_differences`, `task_differences`, `sample_differences`, `refuse_other_prompts`.
"""

from collections.abc import Collection, Sequence

from evalsuite.decisions.compare.document import Difference, DifferenceKind
from evalsuite.decisions.compare.pairs import Pairs
from evalsuite.errors import UserError
from evalsuite.results.read import RunSide, TaskSamples
from evalsuite.results.runlog import UNKNOWN, TaskRecord

_SCORER_PACKAGES = ("lm-eval", "math-verify")
"""Packages that define prompts or verdicts; packages that compute belong to the numerics class."""

ROUNDING = "; even the same weights would give log-probabilities that differ by rounding (near ties can turn)"
ALIKE = "; the numerics class is the same, so that the same weights would give the same answers"
"""What a difference means for the scores."""


def refuse_other_prompts(common: Collection[tuple[TaskRecord, TaskRecord]]) -> None:
    """Raises UserError if a task's prompt specs or texts differ: its delta would not be due to the model."""
    for one, other in common:
        _refuse_other_texts(one, other)
    changed = [one.name for one, other in common if one.prompt_sha256 != other.prompt_sha256]
    if changed:
        raise UserError(
            f"The prompt specs of {', '.join(changed)} differ between the runs, so that a difference in "
            "scores would not be due to the model alone. Run both with the same version, or accept it with "
            "--allow-protocol-drift."
        )


def _refuse_other_texts(one: TaskRecord, other: TaskRecord) -> None:
    if one.format != "text" or one.split not in one.data or other.split not in other.data:
        return
    before, after = one.data[one.split], other.data[other.split]
    if before.fingerprint != after.fingerprint:
        raise UserError(
            f"{one.name}: the runs scored different texts: the baseline {before.rows:,} of {before.source} "
            f"(SHA-256 {before.fingerprint[:12]}), the candidate {after.rows:,} of {after.source} "
            f"({after.fingerprint[:12]}). Run both on the same texts, or compare those that they share with "
            "--allow-protocol-drift."
        )


def run_differences(first: RunSide, second: RunSide) -> list[Difference]:
    """Differences of the whole runs."""
    one, other = first.log, second.log
    compared: list[tuple[DifferenceKind, str, object, object]] = [
        ("numerics", "numerics class", one.model.numerics, other.model.numerics),
        ("engine", "engine", one.spec.engine, other.spec.engine),
        ("evalsuite", "evalsuite version", one.evalsuite_version, other.evalsuite_version),
        ("limit", "limit of documents per task", one.spec.limit, other.spec.limit),
        ("limit", "sample of documents per task", one.spec.sample, other.spec.sample),
        ("seed", "seed", one.spec.seed, other.spec.seed),
    ]
    compared += [
        ("package", f"version of {name}", one.environment.get(name), other.environment.get(name))
        for name in _SCORER_PACKAGES
    ]
    same_numerics = one.model.numerics == other.model.numerics
    meanings = {"numerics": ROUNDING, "engine": ALIKE if same_numerics else ""}
    found = [
        _differs(kind, "", name, before, after, meanings.get(kind, ""))
        for kind, name, before, after in compared
        if before != after
    ]
    if one.model.weights_sha256 == other.model.weights_sha256 != UNKNOWN:
        found.append(Difference(kind="model", task="", text="The weights are the same in both runs."))
    return found


def task_differences(first: TaskRecord, second: TaskRecord) -> list[Difference]:
    """Differences of one task that the run logs show."""
    task = first.name
    compared: list[tuple[DifferenceKind, str, object, object]] = [
        ("prompt", "prompt spec", first.prompt_sha256[:12], second.prompt_sha256[:12]),
        ("prompt", "shots", first.shots, second.shots),
        ("comparability", "comparability number", first.comparability, second.comparability),
        ("split", "evaluated split", first.split, second.split),
        ("aggregation", "aggregation", first.aggregation, second.aggregation),
        ("headline", "headline metric", first.headline, second.headline),
    ]
    if first.window is not None and second.window is not None:  # Imported results do not tell theirs.
        compared.append(("window", "context window in tokens", first.window, second.window))
    for split in dict.fromkeys([*first.data, *second.data]):
        before, after = first.data.get(split), second.data.get(split)
        compared.append(
            (
                "data",
                f"data of split '{split}'",
                before and before.fingerprint[:12],
                after and after.fingerprint[:12],
            )
        )
    return [
        _differs(kind, task, name, before, after) for kind, name, before, after in compared if before != after
    ]


def sample_differences(
    name: str, first: TaskSamples, second: TaskSamples, pairs: Pairs, unscored: Sequence[int]
) -> list[Difference]:
    """Differences of one task that the samples show."""
    found = []
    if pairs.only_first or pairs.only_second:
        found.append(
            Difference(
                kind="missing",
                task=name,
                text=f"{name}: {len(pairs.common)} documents are common, {len(pairs.only_first)} only in the "
                f"baseline, {len(pairs.only_second)} only in the candidate.",
            )
        )
    if unscored:
        row, other = pairs.common[unscored[0]]
        reason = first.reasons[row] or second.reasons[other]
        found.append(
            Difference(
                kind="failures",
                task=name,
                text=f"{name}: {len(unscored)} common documents have no verdict in one of the runs "
                f"(document {first.docs[row]}: {reason}) and are excluded.",
            )
        )
    changed = sum(first.contexts[one] != second.contexts[other] for one, other in pairs.common)
    if changed:
        found.append(
            Difference(
                kind="contexts",
                task=name,
                text=f"{name}: the prompt text differs in {changed} of {len(pairs.common)} common documents "
                "(different shots, or shots dropped to fit the context window).",
            )
        )
    return found


def _differs(
    kind: DifferenceKind, task: str, name: str, before: object, after: object, meaning: str = ""
) -> Difference:
    start = f"{task}: the {name}" if task else f"The {name}"
    values = f"baseline has {_shown(before)}; candidate has {_shown(after)}"
    return Difference(kind=kind, task=task, text=f"{start} differs: {values}{meaning}.")


def _shown(value: object) -> str:
    return "none" if value is None else str(value)
