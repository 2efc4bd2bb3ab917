"""Each path of a tiny model against float64: the difference, the limit, and the time of a short step.

A check is planned before it runs, so that the rest can go on without one that ends its process (`isolated`).
"""

import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from evalsuite.engine.native.fit_trees import TREE_PARTS
from evalsuite.engine.native.forward import plain_logits
from evalsuite.engine.native.loading.load import LoadedModel
from evalsuite.engine.native.paths import PARTS, PLAIN, WORK_OF, Candidate, Paths, candidates_of, fastest
from evalsuite.engine.native.score_batch import batch_logits, read_targets
from evalsuite.engine.native.score_packed import logits_at, run_body
from evalsuite.engine.native.selftest.models import TinyModel
from evalsuite.engine.native.slots.forward import SlotModel, Slots
from evalsuite.engine.native.slots.graphs import Graphing
from evalsuite.engine.native.slots.padding import is_mamba2
from evalsuite.engine.native.trees.tree import Tree, tree_of
from evalsuite.engine.native.trials.graphs import graphing_for
from evalsuite.engine.planning.pack import lay
from evalsuite.engine.planning.plan import sort_inputs, sortable
from evalsuite.errors import ModelError
from evalsuite.types import TokenIds

LIMITS = {torch.float32: 1e-5, torch.bfloat16: 5e-2}
"""Largest difference of logits from float64, as a share of the largest logit; a wrong mask is off by 1."""
LOG_PROB_LIMIT = 1e-5
"""The same for log-probabilities of given logits, which are computed in float32."""
SHARED, BRANCHES = 150, (1, 3, 40, 70)
"""Tokens of the tree's prefix and branches: on both sides of the kernels' tiles, and of the window."""
PREFIX, OWN, DECODE_STEPS = 150, (70, 5), 8
"""Tokens of the slots' prefix and of the rest of each prompt; and decode steps, the last of them replayed."""
TRACED = 30
"""Last lines of a traceback that are kept."""
REPEATS = 3
"""Timed calls after the first one, which compiles; the fastest counts."""
PACKS, SLOTS, BATCHES = "packs", "slots", "padded batches"
FASTEST = "fastest of each part"


@dataclass(frozen=True, slots=True)
class PathCheck:
    """A row of the self-test's table."""

    part: str
    """A part of `Paths` in words, or the form of computation."""
    path: str
    model: str
    """Kind of the tiny model, and its data type."""
    difference: float | None = None
    """Largest difference from float64 as a share of the scale; None if the path did not run."""
    limit: float = 0.0
    first_seconds: float | None = None
    """The first call, which compiles kernels."""
    milliseconds: float | None = None
    """The fastest of `REPEATS` further calls."""
    problem: str = ""
    """Why the path cannot run here, or the first line of its error."""
    failed: bool = False
    """The path runs here, but is wrong or ends in an error."""
    details: str = ""
    """The last lines of the error's traceback."""

    @property
    def name(self) -> tuple[str, str, str]:
        """What the row is about; no two rows have one name."""
        return self.part, self.path, self.model

    @property
    def cannot_run(self) -> bool:
        """The device cannot run the path, which is no fault."""
        return bool(self.problem) and not self.failed

    @property
    def verdict(self) -> str:
        """ "ok", "WRONG", or the problem in words."""
        if self.problem:
            return f"ERROR: {self.problem}" if self.failed else f"cannot run here: {self.problem}"
        return "WRONG" if self.failed else "ok"


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """A check that has not run."""

    row: PathCheck
    """The row without a result."""
    run: Callable[[], PathCheck]
    """Runs the check; errors of the path are in the row that it returns."""


PlannedChecks = Iterator[PlannedCheck]


def checks_of(tiny: TinyModel) -> PlannedChecks:
    """All paths of a tiny model; the model's device decides which of them can run.

    A check need not run before the next one is asked for.
    """
    sections = {PACKS: _packs, WORK_OF["log_probs"]: _log_probs, BATCHES: _batches, SLOTS: _slots}
    for part, section in sections.items():
        try:
            with torch.inference_mode():
                yield from section(tiny)
        except Exception as error:  # Boundary: drivers and modelling code raise errors of every kind.
            yield known_check(failed_row(PathCheck(part, "", _name(tiny)), error))


def known_check(row: PathCheck) -> PlannedCheck:
    """A check whose row is known before it runs."""
    return PlannedCheck(row, lambda: row)


def failed_row(row: PathCheck, error: Exception) -> PathCheck:
    """The row of a check that ended in an error."""
    line = next(iter(str(error).strip().splitlines()), "")
    problem = f"{type(error).__name__}: {line}" if line else type(error).__name__
    lines = "".join(traceback.format_exception(error)).strip().splitlines()
    return replace(row, problem=problem, failed=True, details="\n".join(lines[-TRACED:]))


def _packs(tiny: TinyModel) -> PlannedChecks:
    shared = _tokens(SHARED, 1)
    sequences = sorted((*shared, *_tokens(count, 3 + row)) for row, count in enumerate(BRANCHES))
    exact = torch.stack([plain_logits(tiny.exact, ids)[0] for ids in sequences])
    used: set[tuple[str, str]] = set()

    def logits(paths: Paths) -> torch.Tensor:
        tree, found = _packed(replace(tiny.loaded, paths=paths), sequences)
        used.update(tree.ran)
        return found

    yield _compared(tiny, PACKS, "plain", exact, lambda: logits(PLAIN))
    plain = {part for part, _ in used} or {*TREE_PARTS}  # empty if that check did not run
    for part, candidate in _candidates([one for one in TREE_PARTS if one in plain or one == "pointwise"]):
        planned = _tried(tiny, part, candidate, exact, logits)
        yield replace(planned, run=partial(_if_used, planned.run, (part, candidate.name), used))
    if (paths := _fastest(tiny, TREE_PARTS)) != PLAIN:
        yield _compared(tiny, PACKS, FASTEST, exact, lambda: logits(paths))


def _if_used(
    run: Callable[[], PathCheck], path: tuple[str, str], used: Collection[tuple[str, str]]
) -> PathCheck:
    row = run()
    if row.difference is None or path in used:
        return row
    return PathCheck(*row.name, problem="no layer of the model uses it")


def _packed(loaded: LoadedModel, sequences: Sequence[TokenIds]) -> tuple[Tree, torch.Tensor]:
    """The tree after its pass, and the next-token logits of each of the sorted sequences."""
    inputs, _ = sort_inputs(map(sortable, sequences))
    pack, positions = lay(inputs, tuple(range(len(inputs))), [1] * len(inputs))
    tree = tree_of(pack, loaded.device, loaded.paths)
    output = run_body(loaded, tree)
    return tree, logits_at(loaded, output, torch.tensor([int(one[-1]) for one in positions]))


def _log_probs(tiny: TinyModel) -> PlannedChecks:
    logits = plain_logits(tiny.loaded, _tokens(SHARED, 1), SHARED)
    rows = torch.arange(SHARED, device=logits.device)
    exact = logits.double().log_softmax(-1)[rows, rows % logits.shape[1]]

    def log_probs(paths: Paths) -> torch.Tensor:
        return read_targets(logits, rows, rows % logits.shape[1], rounded=False, path=paths.log_probs)[0]

    yield _compared(tiny, WORK_OF["log_probs"], "torch", exact, lambda: log_probs(PLAIN), LOG_PROB_LIMIT)
    for part, candidate in _candidates(["log_probs"]):
        yield _tried(tiny, part, candidate, exact, log_probs, LOG_PROB_LIMIT)


def _batches(tiny: TinyModel) -> PlannedChecks:
    rows = [_tokens(count, 3 + count) for count in (SHARED, *BRANCHES)]
    exact = torch.stack([plain_logits(tiny.exact, ids)[0] for ids in rows])
    last = torch.tensor([len(ids) - 1 for ids in rows])
    yield _compared(
        tiny, BATCHES, "model", exact, lambda: batch_logits(tiny.loaded, rows, torch.arange(len(rows)), last)
    )


def _slots(tiny: TinyModel) -> PlannedChecks:
    prefix = _tokens(PREFIX, 1)
    prompts = [(*prefix, *_tokens(own + DECODE_STEPS, 3 + own)) for own in OWN]
    exact = torch.stack([plain_logits(tiny.exact, ids, DECODE_STEPS + 1) for ids in prompts])

    def logits(paths: Paths, graphing: Graphing | None = None) -> torch.Tensor:
        model = SlotModel.of(replace(tiny.loaded, paths=paths))
        slots = Slots(model, len(OWN), graphing)
        found = [
            slots.prefill(model.prefix(prefix), [ids[PREFIX : len(ids) - DECODE_STEPS] for ids in prompts])
        ]
        for step in range(DECODE_STEPS, 0, -1):
            tokens = torch.tensor([ids[-step] for ids in prompts], device=tiny.loaded.device)
            found.append(slots.decode(tokens).clone())
        if graphing and not graphing.replayed:
            raise ModelError(graphing.refused or "no step was captured")
        return torch.stack(found, dim=1)  # (prompts, 1 + DECODE_STEPS, vocabulary)

    yield _compared(tiny, SLOTS, "plain", exact, lambda: logits(PLAIN))
    parts = ["slot_attention"]
    if any(is_mamba2(module) for module in tiny.loaded.model.modules()):
        parts += ["prompts", "steps"]
    for part, candidate in _candidates(parts):
        yield _tried(tiny, part, candidate, exact, logits)
    paths = _fastest(tiny, ("pointwise", *parts))
    if paths != PLAIN:
        yield _compared(tiny, SLOTS, FASTEST, exact, lambda: logits(paths))
    for part, candidate in _candidates(["graphs"]):
        yield _tried(tiny, part, candidate, exact, lambda _: logits(paths, graphing_for(tiny.loaded)))


def _candidates(parts: Sequence[str]) -> Iterator[tuple[str, Candidate]]:
    return ((part, candidate) for part in parts for candidate in candidates_of(part))


def _fastest(tiny: TinyModel, parts: Sequence[str]) -> Paths:
    others = [part for part in PARTS if part not in parts]
    return fastest(tiny.loaded.device, tiny.loaded.dtype).plain_in(*others)


def _tried(
    tiny: TinyModel,
    part: str,
    candidate: Candidate,
    exact: torch.Tensor,
    compute: Callable[[Paths], torch.Tensor],
    limit: float | None = None,
) -> PlannedCheck:
    """A candidate of a part, with all other parts plain."""
    paths = PLAIN.using(part, candidate.name)
    planned = _compared(tiny, WORK_OF[part], candidate.name, exact, lambda: compute(paths), limit)

    def run() -> PathCheck:
        reason = candidate.why_not(tiny.loaded.device, tiny.loaded.dtype)  # which may launch a kernel
        return PathCheck(*planned.row.name, problem=reason) if reason else planned.run()

    return replace(planned, run=run)


def _compared(
    tiny: TinyModel,
    part: str,
    path: str,
    exact: torch.Tensor,
    compute: Callable[[], torch.Tensor],
    limit: float | None = None,
) -> PlannedCheck:
    limit = LIMITS[tiny.loaded.model.dtype] if limit is None else limit
    row = PathCheck(part, path, _name(tiny), limit=limit)
    return PlannedCheck(row, lambda: _measured(row, exact, compute, tiny.loaded.device))


@torch.inference_mode()
def _measured(
    row: PathCheck, exact: torch.Tensor, compute: Callable[[], torch.Tensor], device: str
) -> PathCheck:
    try:
        start = time.perf_counter()
        found = compute().double().cpu()
        first = time.perf_counter() - start
        milliseconds = _fastest_call(compute, device)
    except Exception as error:  # Boundary: kernels, compilers and drivers raise errors of every kind.
        return failed_row(row, error)
    exact = exact.double().cpu()
    difference = float(((found - exact).abs().max() / exact.abs().max()).nan_to_num(nan=torch.inf))
    return replace(
        row,
        difference=difference,
        first_seconds=first,
        milliseconds=milliseconds,
        failed=difference > row.limit,
    )


def _fastest_call(compute: Callable[[], torch.Tensor], device: str) -> float:
    """Milliseconds of the fastest of some calls, until the device has finished."""
    seconds = []
    for _ in range(REPEATS):
        _wait_for(device)
        start = time.perf_counter()
        compute()
        _wait_for(device)
        seconds.append(time.perf_counter() - start)
    return 1000 * min(seconds)


def _wait_for(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)


def _name(tiny: TinyModel) -> str:
    return f"{tiny.kind}, {tiny.loaded.dtype}"


def _tokens(count: int, start: int) -> TokenIds:
    """Token ids below the tiny models' vocabulary; another `start` gives others."""
    return tuple((37 * index + 11 * start) % 512 for index in range(count))
