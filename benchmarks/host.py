"""Measures the host's own work for a whole task: everything but the model's forward passes.

    python benchmarks/host.py mmlu gsm8k --data DIR [--recipe nemotron_h] [--limit 100]

Runs each task from its data to the run log, with forward passes that compute nothing: log-likelihoods are 0,
and a text's tokens are drawn, its end with a chance of 1 in 128. What a GPU's kernels read of each pack
(levels of attention, chains of scans) is made as for a GPU. 512 rows of text are active, as on a large GPU.

Prints Markdown, a row for each task: seconds of the main thread's processor time by stage, each without the
stages within it. "passes" and "storing" run beside the device's work: laying out packs, their tables and
reading the answers, or choosing, checking and decoding tokens; and SQLite. "loading" is the model's trials on
a CPU, which say nothing about a GPU; another thread reads the weights. Not counted: the launches of a forward
pass's kernels.
"""

import argparse
import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from gpu_tables import Tables

import evalsuite
from evalsuite.engine.native import score_packed, tried
from evalsuite.engine.native.reach import Reach
from evalsuite.engine.native.slots import capacity, generate
from evalsuite.engine.native.slots import forward as slots_forward
from evalsuite.engine.native.slots.cache import Prefix, SlotCache
from evalsuite.engine.native.trees.kernels.tables import tables_of
from evalsuite.engine.native.trees.tree import Tree
from evalsuite.engine.native.trials import fit
from evalsuite.engine.planning import plan
from evalsuite.errors import UserError
from evalsuite.results.store import ResponseStore
from evalsuite.runs import execute, session

SLOTS, PREFILL = 512, 2**14
"""Rows of text at a time, and positions of a pass over prompts."""
ENDING = 1 / 128
"""Chance that a text ends with a token."""
FIRST, TOKENS = 20, 64
"""Ids of drawn tokens; the ids before them mark beginnings and ends in SmolLM2's vocabulary."""
STAGES = ("data", "encoding", "planning", "loading", "passes", "storing", "judging")
COLUMNS = ("task", "documents", "packs", "steps", *STAGES, "rest")


class Stages:
    """The processor seconds of each stage in the thread that made this."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys((*STAGES, "rest"), 0.0)
        self.packs = self.steps = 0
        self._now = "rest"
        self._since = time.thread_time()

    def turn_to(self, stage: str) -> str:
        """From now on this stage runs; returns the one before."""
        before, now = self._now, time.thread_time()
        self.seconds[before] += now - self._since
        self._now, self._since = stage, now
        return before

    def within(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, counted as a stage."""

        def counted(*args: Any, **options: Any) -> Any:
            before = self.turn_to(stage)
            try:
                return function(*args, **options)
            finally:
                self.turn_to(before)

        return counted


Replaced = tuple[Any, str, Any]
"""A place, the name of what is replaced there, and the replacement."""


@contextlib.contextmanager
def replaced(parts: Sequence[Replaced]) -> Iterator[None]:
    """Within this context other things have these names."""
    with contextlib.ExitStack() as stack:
        for place, name, replacement in parts:
            stack.enter_context(patch.object(place, name, replacement))
        yield


def clocks(stages: Stages) -> list[Replaced]:
    """The functions of a run, counted as stages."""
    read, put = score_packed._read, ResponseStore.put

    def stored(self: Any, rows: Any) -> None:
        stages.within("storing", put)(self, rows)

    places = [
        (execute, "prepare", "data"),
        (session, "build_requests", "encoding"),
        (session, "judge", "judging"),
        (plan, "plan_packs", "planning"),
        (fit, "fit", "loading"),
        (score_packed, "begin_run", "passes"),
        (generate._Generation, "_prefill", "passes"),
        (generate._Generation, "_steps", "passes"),
        (generate._Generation, "_add_tokens", "passes"),
    ]
    counted = [(place, name, stages.within(stage, getattr(place, name))) for place, name, stage in places]
    return [
        *counted,
        (score_packed, "_read", lambda *args: stages.within("passes", read(*args))),
        (ResponseStore, "put", stored),
    ]


def nothing_computed(stages: Stages) -> list[Replaced]:
    """Forward passes that compute nothing."""
    random = torch.Generator().manual_seed(0)

    def body(loaded: Any, tree: Tree) -> Any:
        stages.packs += 1
        tree.levels(Reach(), "cpu")
        tables_of(tree)
        return argparse.Namespace(last_hidden_state=torch.zeros(1, len(tree.pack), 1))

    def drawn(model: Any, cache: Any, now: Any, ids: Any, positions: Any, rows: torch.Tensor, _: Any) -> Any:
        stages.steps += now.length == 1
        tokens = torch.randint(FIRST, TOKENS, (len(rows),), generator=random)
        ends = torch.rand(len(rows), generator=random) < ENDING
        tokens.masked_fill_(ends, min(model.loaded.eos_ids))
        return torch.nn.functional.one_hot(tokens, TOKENS).float()

    return [
        (score_packed, "run_body", body),
        (score_packed, "logits_at", lambda loaded, output, rows: torch.zeros(len(rows), 1)),
        (
            score_packed,
            "read_targets",
            lambda logits, rows, *_, **__: (torch.zeros(len(rows)), torch.ones(len(rows))),
        ),
        (slots_forward, "_run", drawn),
        (slots_forward.SlotModel, "prefix", lambda self, ids: Prefix(len(ids), ())),
        (SlotCache, "reserve", lambda self, tokens: None),
        (SlotCache, "copy", lambda self, *args: None),
        (capacity, "capacity_for", lambda *_: capacity.SlotCapacity(SLOTS, PREFILL)),
        (generate, "STEPS", {}),
        (generate, "DRAFT_POSITIONS", {"cpu": 0}),
    ]


def row(task: str, options: argparse.Namespace) -> tuple[str, ...]:
    """The row of a task."""
    stages = Stages()
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        stack.enter_context(replaced(clocks(stages)))
        load = tried.TriedModel.load

        def loaded(self: Any) -> None:
            load(self)  # by real passes
            stack.enter_context(replaced(nothing_computed(stages)))

        stack.enter_context(patch.object(tried.TriedModel, "load", loaded))
        out = Path(folder) / "run"
        log = evalsuite.run(
            task,
            options.model,
            recipe=options.recipe,
            limit=options.limit,
            data=options.data,
            out=out,
            smoke=False,
        )
    stages.turn_to("rest")
    seconds = stages.seconds
    counts = str(log.tasks[0].counts.documents), str(stages.packs), str(stages.steps)
    return task, *counts, *(f"{seconds[stage]:.1f}" for stage in (*STAGES, "rest"))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--recipe", default="nemotron_h")
    parser.add_argument("--limit", type=int, help="documents of each task [default: all]")
    parser.add_argument("--model", default="smollm2-135m")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tables = Tables(None)
    tables.begin("host", COLUMNS)
    try:
        for task in options.tasks:
            tables.row(row(task, options))
    except UserError as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
