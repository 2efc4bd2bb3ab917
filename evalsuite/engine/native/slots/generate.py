"""Text generation with slots: a prefix runs once, and each step adds a token to every slot.

Each row is answered as soon as it stops, and the next prompt takes its slot. Samples of one prompt share its
forward pass.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch

from evalsuite.engine.native.memory import free_memory, is_out_of_memory
from evalsuite.engine.native.row import GrowingRow, GrowingRows, tokens_of_rows
from evalsuite.engine.native.sampling import best_tokens, fed
from evalsuite.engine.native.score_batch import PADDING_ID
from evalsuite.engine.native.slots.cache import Prefix
from evalsuite.engine.native.slots.capacity import SlotCapacity
from evalsuite.engine.native.slots.forward import SlotModel, Slots
from evalsuite.engine.native.slots.graphs import Graphing
from evalsuite.engine.native.slots.prompt_lookup import PromptLookup
from evalsuite.engine.native.slots.reserved import reserved_for
from evalsuite.engine.native.transfer import to_device
from evalsuite.engine.planning.prefixes import SlotPrompt, in_slots
from evalsuite.types import Failure, Generated, GenerateRequest

REFILL_SHARE = 8
"""New prompts are prefilled when 1 / REFILL_SHARE of the slots are free.

A pass over few tokens costs almost as much as a pass over many, and idle slots cost little. The best number
of free slots is slots * sqrt(2 / tokens per answer): 1 / 8 of them at 128 tokens.
"""


LARGEST_PADDING = 1.25
"""Most positions per token of a pass over prompts padded to the longest; a small pass may have more."""

SMALL_PASS = 64
"""Positions of a pass that counts as small."""


@dataclass(frozen=True, slots=True)
class Done:
    """Requests that were answered together."""

    answers: tuple[tuple[GenerateRequest, Generated | Failure], ...]
    tokens: int
    """Tokens computed since the last answers, for these and for active rows."""


STEPS = {"cpu": 1}
"""Steps whose tokens are copied to the host together, by kind of device: each copy makes the device wait."""
STEPS_ELSEWHERE = 4

DRAFT_POSITIONS = {"cpu": 24}
"""Positions up to which a pass is hardly slower than with one, by kind of device: for draft tokens."""
CHECKED_ELSEWHERE = 64


LEAST_GUESSED = 0.5
"""Fewest draft tokens per row for a verifying pass, where several decode steps would run otherwise."""


@dataclass(frozen=True, slots=True)
class _ActiveRow:
    """An active row, in its slot."""

    prompt: SlotPrompt
    row: GrowingRow
    lookup: PromptLookup | None
    """None if the row is sampled or changes its logits, or the model cannot drop rejected draft tokens."""

    def draft(self, most: int) -> list[int]:
        """At most `most` draft tokens."""
        left = self.row.left
        return self.lookup.guess(min(most, left - 1)) if self.lookup and left > 1 else []


def generate_in_slots(
    model: SlotModel,
    rows: GrowingRows,
    prompts: Sequence[SlotPrompt],
    capacity: SlotCapacity,
    *,
    retry: bool = True,
    steps: int | None = None,
    checked: int | None = None,
    graphing: Graphing | None = None,
) -> Iterator[Done]:
    """Answer every request of the prompts.

    On out-of-memory, capacity is halved and active rows restart; a request that does not fit alone fails.

    Args:
        model: the model.
        rows: creates and finishes rows.
        prompts: the prompts with their requests.
        capacity: number of slots, and positions of a pass.
        retry: if False, out-of-memory is raised.
        steps: number of decode steps between searches for stops; tokens beyond a stop are discarded. By
            default a number that suits the device. Texts do not depend on it.
        checked: most positions of a pass that verifies draft tokens, 0 for no draft tokens; by default a
            number that suits the device.
        graphing: captures decode steps and replays them, and records the outcome; None for plain steps.
    """
    steps = steps or STEPS.get(model.loaded.device, STEPS_ELSEWHERE)
    checked = DRAFT_POSITIONS.get(model.loaded.device, CHECKED_ELSEWHERE) if checked is None else checked
    waiting = list(prompts)
    while waiting:
        work = None
        try:
            prompts = in_slots(waiting, capacity.slots)
            work = _Generation(model, rows, prompts, capacity, steps, checked, graphing)
            yield from work.run()
            return
        except Exception as error:
            if not (retry and is_out_of_memory(error)):
                raise
            # Keep only the text: the error's traceback would keep tensors alive.
            reason = str(error).strip().split("\n")[0] or type(error).__name__
        waiting = work.unanswered() if work else waiting
        work = None
        free_memory()
        if capacity.slots > 1:
            capacity = capacity.halved()
            continue
        first = waiting[0]
        yield Done(((first.requests[0], Failure(f"out of memory: {reason}")),), 0)
        waiting = [replace(first, requests=first.requests[1:])] * (len(first.requests) > 1) + waiting[1:]


class _Generation:
    """Generation with one capacity: waiting prompts, and active rows in slots."""

    def __init__(
        self,
        model: SlotModel,
        rows: GrowingRows,
        prompts: Iterable[SlotPrompt],
        capacity: SlotCapacity,
        steps: int,
        checked: int,
        graphing: Graphing | None,
    ) -> None:
        self._model = model
        self._rows = rows
        self._most_steps = steps
        self._most_checked = checked if model.forgets else 0
        self._waiting = deque(prompts)
        self._capacity = capacity
        beyond = steps + self._most_checked
        reserved = reserved_for(model.loaded.device, self._waiting, rows.window, beyond)
        self._slots = Slots(model, capacity.slots, graphing, reserved)
        self._live: list[_ActiveRow] = []
        """Active rows, by slot."""
        self._prefix: tuple[tuple[int, ...] | None, Prefix | None] = (None, None)
        """The last used prefix: its token ids, and its computed form."""
        self._computed = 0
        """Tokens computed up to the last answers."""

    def unanswered(self) -> list[SlotPrompt]:
        """Active rows, to restart, and waiting prompts."""
        started = [replace(active.prompt, requests=(active.row.request,)) for active in self._live]
        return [*started, *self._waiting]

    def run(self) -> Iterator[Done]:
        """Yield answers as rows finish."""
        while self._waiting or self._live:
            with torch.inference_mode():
                chosen = self._prefill() if self._should_prefill() else self._steps()
                answers = self._add_tokens(*chosen)
            if answers:
                tokens, self._computed = self._slots.computed - self._computed, self._slots.computed
                yield Done(answers, tokens)

    def _should_prefill(self) -> bool:
        if not self._waiting:
            return False
        needed = max(
            len(self._waiting[0].requests), min(self._capacity.slots // REFILL_SHARE, len(self._waiting))
        )
        return not self._live or self._slots.free >= needed

    def _prefill(self) -> tuple[int, list[list[int]]]:
        """Prefill as many prompts of one prefix as fit; the first new row, and the tokens of each new row."""
        first, prompts = len(self._live), self._next_prompts()
        if self._prefix[0] != prompts[0].shared:
            self._prefix = (prompts[0].shared, self._model.prefix(prompts[0].shared))
            self._slots.computed += len(prompts[0].shared)
        prefix = self._prefix[1]
        assert prefix is not None
        logits = self._slots.prefill(prefix, [prompt.own for prompt in prompts])
        more = [(index, request) for index, prompt in enumerate(prompts) for request in prompt.requests[1:]]
        self._slots.copy([first + index for index, _ in more])
        requests = [*((index, prompt.requests[0]) for index, prompt in enumerate(prompts)), *more]
        self._live += [self._begin(prompts[index], request) for index, request in requests]
        for _ in prompts:
            self._waiting.popleft()
        order = to_device(torch.tensor([index for index, _ in requests]), self._model.loaded.device)
        chosen = self._chosen(logits[order], self._live[first:])
        return first, chosen[:, None].tolist()

    def _begin(self, prompt: SlotPrompt, request: GenerateRequest) -> _ActiveRow:
        row = self._rows.begin(request)
        drafts = self._most_checked and row.generator is None and row.control is None
        return _ActiveRow(prompt, row, PromptLookup(request.context, row.ids) if drafts else None)

    def _next_prompts(self) -> list[SlotPrompt]:
        """The next waiting prompts, as many as fit into free slots and one pass; the longest first."""
        prompts: list[SlotPrompt] = []
        needed = longest = tokens = 0
        for prompt in self._waiting:
            needed += len(prompt.requests)
            tokens += len(prompt.own)
            longest = max(longest, len(prompt.own))
            positions = (len(prompts) + 1) * longest
            full = needed > self._slots.free or positions > self._capacity.tokens
            ragged = positions > max(SMALL_PASS, LARGEST_PADDING * tokens)
            if prompts and (full or ragged or prompt.shared != prompts[0].shared):
                break
            prompts.append(prompt)
        return sorted(prompts, key=lambda prompt: -len(prompt.own))

    def _steps(self) -> tuple[int, list[list[int]]]:
        """Generate one or more tokens for every row; returns the first row, 0, and each row's tokens."""
        left = min(active.row.room - len(active.row.ids) for active in self._live)
        most = min(self._most_checked // len(self._live), left) - 1
        drafts = [active.draft(most) for active in self._live] if most > 0 else []
        least = LEAST_GUESSED * len(self._live) if self._most_steps > 1 else 0
        return 0, self._checked(drafts) if sum(map(len, drafts)) >= max(1, least) else self._decoded()

    def _decoded(self) -> list[list[int]]:
        """Each row's tokens after a few decode steps."""
        last = torch.tensor([active.row.ids[-1] for active in self._live])
        tokens = to_device(last, self._model.loaded.device)  # (rows,)
        chosen = []
        for _ in range(self._steps_before_stops()):
            tokens = self._chosen(self._slots.decode(fed(tokens)), self._live)
            chosen.append(tokens)
        by_row: list[list[int]] = torch.stack(chosen, dim=1).tolist()
        return by_row

    def _checked(self, drafts: Sequence[Sequence[int]]) -> list[list[int]]:
        """Verify draft tokens in one pass; returns each row's accepted ones, and the token after them."""
        longest = max(len(draft) for draft in drafts)
        fed = [
            [active.row.ids[-1], *draft, *[PADDING_ID] * (longest - len(draft))]
            for active, draft in zip(self._live, drafts, strict=True)
        ]
        logits = self._slots.check(to_device(torch.tensor(fed), self._model.loaded.device))
        first = self._chosen(
            logits[:, 0], self._live
        )  # (rows,); `logits` are (rows, 1 + longest, vocabulary)
        chosen = torch.cat([first[:, None], best_tokens(logits[:, 1:])], dim=1).tolist()
        kept = []
        for active, draft, tokens in zip(self._live, drafts, chosen, strict=True):
            accepted = sum(
                1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(draft, tokens, strict=False))
            )
            if active.lookup and draft:
                active.lookup.record_acceptance(len(draft), accepted)
            kept.append(tokens[: accepted + 1])
        self._slots.extend([len(tokens) for tokens in kept])
        return kept

    def _steps_before_stops(self) -> int:
        """Number of decode steps before the next search for stops.

        No step may pass a row's context window, or run when all rows have reached their limits.
        """
        window = min(active.row.room - len(active.row.ids) for active in self._live)
        if any(active.row.control for active in self._live):
            return 1  # A control needs all earlier tokens on the host.
        longest = max(active.row.limit - len(active.row.ids) for active in self._live)
        return max(1, min(self._most_steps, window, longest))

    def _chosen(self, logits: torch.Tensor, live: Sequence[_ActiveRow]) -> torch.Tensor:
        return tokens_of_rows(logits, [active.row for active in live])

    def _add_tokens(
        self, first: int, tokens: Sequence[Sequence[int]]
    ) -> tuple[tuple[GenerateRequest, Generated | Failure], ...]:
        """Add tokens to each row from `first` on; returns finished rows' answers and frees their slots."""
        rows = [active.row for active in self._live[first:]]
        for row, new in zip(rows, tokens, strict=True):
            for index, token in enumerate(new):
                self._rows.add(row, token)
                if row.answer is not None:
                    self._slots.computed -= len(new) - 1 - index
                    break
        left = [slot for slot, active in enumerate(self._live) if active.row.answer is None]
        if len(left) < len(self._live):
            self._slots.clear(
                [slot for slot, active in enumerate(self._live) if isinstance(active.row.answer, Failure)]
            )
            order = self._slots.keep(left)
            self._live = [self._live[slot] for slot in order]
        return tuple((row.request, row.answer) for row in rows if row.answer is not None)
