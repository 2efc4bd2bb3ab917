"""Which implementation of each part is right for a loaded model; each part falls back alone.

The wanted implementations (`LoadedModel.paths`) are tried together first. If that trial fails, everything
begins plain, and the parts are switched on one at a time: what passes stays, what fails is named in a note
with its error.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from evalsuite.engine.native.forward import plain_logits
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.paths import PLAIN, WORK_OF, Paths, unusable, usable
from evalsuite.engine.native.probe.plain_tokens import plain_tokens
from evalsuite.engine.native.score_batch import read_targets
from evalsuite.engine.native.slots.padding import is_mamba2
from evalsuite.engine.native.stand_in import why_it_stopped
from evalsuite.engine.native.trees.functions import CONV, MAMBA_2_SCAN

Trial = Callable[[LoadedModel], str]
"""Tries a model on its paths; returns why they cannot be used, or an empty text."""

READ = 8
"""Positions of the trial of log-probabilities."""
LARGEST_LOG_PROB_DIFFERENCE = 1e-4
"""In nats, for log-probabilities down to -1; lower ones may differ by this share."""


@dataclass(frozen=True, slots=True)
class PartsFit:
    """A model on the implementations that passed a trial."""

    loaded: LoadedModel | None
    """None if the trial fails with the plain implementations, too."""
    problem: str = ""
    """Why it is None."""
    notes: tuple[str, ...] = ()
    """One for each part that fell back."""

    @property
    def ready(self) -> LoadedModel:
        """`loaded`, of a trial that the plain implementations cannot fail."""
        assert self.loaded is not None
        return self.loaded


def fitted_parts(loaded: LoadedModel, parts: Sequence[str], why_it_fails: Trial) -> PartsFit:
    """The model on the fastest implementations of `parts` that pass a trial.

    Args:
        loaded: the model on the wanted paths.
        parts: names of the parts that the trial computes.
        why_it_fails: the trial.
    """
    problem = why_it_fails(loaded)
    if not problem:
        return PartsFit(loaded)
    plain = replace(loaded, paths=loaded.paths.plain_in(*parts))
    if plain.paths == loaded.paths:
        return PartsFit(None, problem)
    if still := why_it_fails(plain):
        return PartsFit(None, still)
    found, notes = plain, []
    for part in parts:
        found, problems = _fitted_part(found, part, _not_faster(loaded, part), why_it_fails)
        if problems:
            notes.append(fallback_note(found.paths, part, problems))
    return PartsFit(found, notes=tuple(notes))


def _not_faster(wanted: LoadedModel, part: str) -> list[str]:
    """Names of a part's usable candidates, fastest first, from the wanted one on; none if it is plain."""
    name = getattr(wanted.paths, part)
    names = [*usable(part, wanted.device, wanted.dtype)]
    return names[names.index(name) :] if name in names else []


def _fitted_part(
    loaded: LoadedModel, part: str, names: Sequence[str], why_it_fails: Trial
) -> tuple[LoadedModel, dict[str, str]]:
    """The model with the first of a part's candidates that passes; and by name, why others did not."""
    problems: dict[str, str] = {}
    for name in names:
        candidate = replace(loaded, paths=loaded.paths.using(part, name))
        problem = why_it_fails(candidate)
        if not problem:
            return candidate, problems
        problems[name] = problem
    return loaded, problems


def fallback_note(paths: Paths, part: str, problems: dict[str, str]) -> str:
    """The run log's note on a part: what computes it, and why its candidates do not."""
    refused = ", ".join(f"not by {name} ({problem})" for name, problem in problems.items())
    return f"{WORK_OF[part]}: computed by {getattr(paths, part)}, {refused}"


def without_unused(loaded: LoadedModel, ran: Iterable[tuple[str, str]], parts: Sequence[str]) -> PartsFit:
    """The model with the plain implementation of those `parts` in which no layer used the other one.

    Args:
        loaded: the model.
        ran: each part that a trial computed, with the implementation that did (`Tree.ran`).
        parts: the parts to check.
    """
    ran, notes = set(ran), []
    for part in parts:
        name = getattr(loaded.paths, part)
        if name == getattr(PLAIN, part) or (part, name) in ran:
            continue
        loaded = replace(loaded, paths=loaded.paths.plain_in(part))
        if any(other == part for other, _ in ran):
            notes.append(fallback_note(loaded.paths, part, {name: "no layer of the model fits it"}))
    return PartsFit(loaded, notes=tuple(notes))


def why_log_probs_differ(loaded: LoadedModel) -> str:
    """Compare log-probabilities of the model's own logits with torch's; why they differ, or empty."""
    path = loaded.paths.log_probs
    if path == PLAIN.log_probs:
        return ""
    try:
        with torch.inference_mode():
            logits = plain_logits(loaded, plain_tokens(loaded.model.config, READ), READ)
            rows = torch.arange(READ, device=logits.device).repeat(3)
            random = torch.randint(logits.shape[1], (READ,), generator=torch.Generator().manual_seed(0))
            tokens = torch.cat([logits.argmax(-1), logits.argmin(-1), random.to(logits.device)])
            found, best = read_targets(logits, rows, tokens, rounded=False, path=path)
            own, own_best = read_targets(logits, rows, tokens, rounded=False)
    except Exception as error:  # kernels and their compilers raise errors of every kind
        return why_it_stopped(error)
    difference = float(((found - own).abs() / own.abs().clamp(min=1)).nan_to_num(nan=torch.inf).max())
    if difference > LARGEST_LOG_PROB_DIFFERENCE:
        return f"a trial differed from torch by {difference:.2g}"
    return "" if torch.equal(best, own_best) else "a trial found other most probable tokens than torch"


def missing_notes(loaded: LoadedModel) -> Iterator[str]:
    """A note for each reason why a GPU can run no candidate of parts that the model has."""
    if not loaded.device.startswith("cuda"):
        return
    parts: dict[str, list[str]] = {}
    for part, reason in unusable(loaded.device, loaded.dtype).items():
        if _has(loaded.model, part):
            parts.setdefault(reason, []).append(WORK_OF[part])
    for reason, work in parts.items():
        yield f"computed without kernels ({reason}): {', '.join(work)}"


def _has(model: Any, part: str) -> bool:
    """Whether a model has layers of the kind that a part computes."""
    if part in ("prompts", "steps"):
        return any(is_mamba2(module) for module in model.modules())
    if part == "scan":
        modules = {sys.modules[type(layer).__module__] for layer in model.modules()}
        return any(hasattr(module, name) for module in modules for name in (CONV, MAMBA_2_SCAN))
    return True
