"""Text generation with slots: a prefix once, prompts into free slots, one token per step for every slot.

Each row stops by itself, is answered at once, and its slot taken by the next prompt. Samples of one
prompt share its pass.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch

from evalsuite.engine.native.memory import free_memory, is_out_of_memory
from evalsuite.engine.native.row import GrowingRow, GrowingRows, tokens_of_rows
from evalsuite.engine.native.sampling import best_tokens, fed
from evalsuite.engine.native.slots.cache import Prefix
from evalsuite.engine.native.slots.capacity import SlotCapacity
from evalsuite.engine.native.slots.forward import PADDING_ID, SlotModel, Slots
from evalsuite.engine.native.slots.graphs import Graphing
from evalsuite.engine.native.slots.prompt_lookup import PromptLookup
from evalsuite.engine.native.transfer import to_device
from evalsuite.engine.planning.prefixes import SlotPrompt, in_slots
from evalsuite.types import Failure, Generated, GenerateRequest

REFILL_SHARE = 8
"""Prompts are taken in when one slot of so many is free: passes over few tokens cost almost as much as
one over many, idle slots cost little. (slots * sqrt(2 / tokens per answer) is best; 1 / 8 at 128 tokens.)"""


LARGEST_PADDING = 1.25
"""Positions per token of a pass over prompts that are padded to the longest; a small pass may have more."""

SMALL_PASS = 64
"""Positions."""


@dataclass(frozen=True, slots=True)
class Done:
    """Requests that were answered together."""

    answers: tuple[tuple[GenerateRequest, Generated | Failure], ...]
    tokens: int
    """Computed since the last answers, for these and for rows still at work."""


STEPS = {"cpu": 1}
"""Steps whose tokens leave the device together, by kind of device: each time the device waits for the
host."""
STEPS_ELSEWHERE = 4

CHECKED = {"cpu": 24}
"""Positions up to which a pass takes little longer than over a single row, by kind of device: room for
guesses."""
CHECKED_ELSEWHERE = 64


LEAST_GUESSED = 0.5
"""Guesses per row that a pass is made for, where the tokens of several steps leave the device together
otherwise."""


@dataclass(frozen=True, slots=True)
class _AtWork:
    """A row in its slot."""

    prompt: SlotPrompt
    row: GrowingRow
    guesser: PromptLookup | None
    """None for a row that draws its tokens or changes its logits, or a model that cannot take back a wrong
    guess."""

    def guess(self, most: int) -> list[int]:
        left = self.row.left
        return self.guesser.guess(min(most, left - 1)) if self.guesser and left > 1 else []


def generate_in_slots(
    model: SlotModel,
    rows: GrowingRows,
    prompts: Sequence[SlotPrompt],
    room: SlotCapacity,
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
        rows: how rows begin and end.
        prompts: what is asked.
        room: slots, and positions of a pass.
        retry: without it running out of memory is raised.
        steps: after how many of them stops are looked for, tokens beyond a stop being thrown away; by default
            what suits the device. No text depends on it.
        checked: most positions of a pass that checks guesses, 0 for none; by default what suits the device.
        graphing: records steps and replays them, and is told how that went; None where steps run as they are.
    """
    steps = steps or STEPS.get(model.loaded.device, STEPS_ELSEWHERE)
    checked = CHECKED.get(model.loaded.device, CHECKED_ELSEWHERE) if checked is None else checked
    waiting = list(prompts)
    while waiting:
        work = _Work(model, rows, in_slots(waiting, room.slots), room, steps, checked, graphing)
        try:
            yield from work.run()
            return
        except Exception as error:
            if not (retry and is_out_of_memory(error)):
                raise
            # Only the text is kept: the error's traceback would keep tensors alive.
            reason = str(error).strip().split("\n")[0] or type(error).__name__
        waiting = work.unanswered()
        del work
        free_memory()
        if room.slots > 1:
            room = room.halved()
            continue
        first = waiting[0]
        yield Done(((first.requests[0], Failure(f"out of memory: {reason}")),), 0)
        waiting = [replace(first, requests=first.requests[1:])] * (len(first.requests) > 1) + waiting[1:]


class _Work:
    """Generation within one room: prompts that wait, and rows in slots."""

    def __init__(
        self,
        model: SlotModel,
        rows: GrowingRows,
        prompts: Iterable[SlotPrompt],
        room: SlotCapacity,
        steps: int,
        checked: int,
        graphing: Graphing | None,
    ) -> None:
        self._model = model
        self._rows = rows
        self._most_steps = steps
        self._most_checked = checked if model.forgets else 0
        self._waiting = deque(prompts)
        self._room = room
        self._slots = Slots(model, room.slots, graphing)
        self._live: list[_AtWork] = []
        """By slot."""
        self._prefix: tuple[tuple[int, ...] | None, Prefix | None] = (None, None)
        """The last one in use, by its tokens."""
        self._computed = 0
        """Tokens, up to the last answers."""

    def unanswered(self) -> list[SlotPrompt]:
        """Rows at work, to begin again, and prompts that wait."""
        begun = [replace(one.prompt, requests=(one.row.request,)) for one in self._live]
        return [*begun, *self._waiting]

    def run(self) -> Iterator[Done]:
        """Yield answers as rows finish."""
        while self._waiting or self._live:
            with torch.inference_mode():
                chosen = self._take_in() if self._should_take_in() else self._steps()
                answers = self._add_tokens(*chosen)
            if answers:
                tokens, self._computed = self._slots.computed - self._computed, self._slots.computed
                yield Done(answers, tokens)

    def _should_take_in(self) -> bool:
        if not self._waiting:
            return False
        wanted = max(
            len(self._waiting[0].requests), min(self._room.slots // REFILL_SHARE, len(self._waiting))
        )
        return not self._live or self._slots.free >= wanted

    def _take_in(self) -> tuple[int, list[list[int]]]:
        """Prefill as many prompts of one prefix as fit; the first row, and tokens of each from there on."""
        first, prompts = len(self._live), self._next_prompts()
        if self._prefix[0] != prompts[0].shared:
            self._prefix = (prompts[0].shared, self._model.prefix(prompts[0].shared))
            self._slots.computed += len(prompts[0].shared)
        prefix = self._prefix[1]
        assert prefix is not None
        logits = self._slots.prefill(prefix, [prompt.own for prompt in prompts])
        more = [(at, request) for at, prompt in enumerate(prompts) for request in prompt.requests[1:]]
        self._slots.copy([first + at for at, _ in more])
        requests = [*((at, prompt.requests[0]) for at, prompt in enumerate(prompts)), *more]
        self._live += [self._begin(prompts[at], request) for at, request in requests]
        for _ in prompts:
            self._waiting.popleft()
        chosen = self._chosen(logits[[at for at, _ in requests]], self._live[first:])
        return first, chosen[:, None].tolist()

    def _begin(self, prompt: SlotPrompt, request: GenerateRequest) -> _AtWork:
        row = self._rows.begin(request)
        guesses = self._most_checked and row.generator is None and row.control is None
        return _AtWork(prompt, row, PromptLookup(request.context, row.ids) if guesses else None)

    def _next_prompts(self) -> list[SlotPrompt]:
        """The first of those that wait, as far as slots and the room for one pass go; the longest first."""
        prompts: list[SlotPrompt] = []
        needed = longest = tokens = 0
        for prompt in self._waiting:
            needed += len(prompt.requests)
            tokens += len(prompt.own)
            longest = max(longest, len(prompt.own))
            positions = (len(prompts) + 1) * longest
            full = needed > self._slots.free or positions > self._room.tokens
            ragged = positions > max(SMALL_PASS, LARGEST_PADDING * tokens)
            if prompts and (full or ragged or prompt.shared != prompts[0].shared):
                break
            prompts.append(prompt)
        return sorted(prompts, key=lambda prompt: -len(prompt.own))

    def _steps(self) -> tuple[int, list[list[int]]]:
        """Some tokens more for every row: the first row, and the tokens of each."""
        left = min(one.row.room - len(one.row.ids) for one in self._live)
        most = min(self._most_checked // len(self._live), left) - 1
        guesses = [one.guess(most) for one in self._live] if most > 0 else []
        least = LEAST_GUESSED * len(self._live) if self._most_steps > 1 else 0
        return 0, self._checked(guesses) if sum(map(len, guesses)) >= max(1, least) else self._decoded()

    def _decoded(self) -> list[list[int]]:
        """Tokens of a few steps."""
        tokens = to_device(torch.tensor([one.row.ids[-1] for one in self._live]), self._model.loaded.device)
        chosen = []
        for _ in range(self._steps_before_stops()):
            tokens = self._chosen(self._slots.decode(fed(tokens)), self._live)
            chosen.append(tokens)
        return torch.stack(chosen, dim=1).tolist()

    def _checked(self, guesses: Sequence[Sequence[int]]) -> list[list[int]]:
        """By one pass: the guesses of each row that were right, and the token after them."""
        longest = max(len(guess) for guess in guesses)
        fed = [
            [one.row.ids[-1], *guess, *[PADDING_ID] * (longest - len(guess))]
            for one, guess in zip(self._live, guesses, strict=True)
        ]
        logits = self._slots.check(to_device(torch.tensor(fed), self._model.loaded.device))
        first = self._chosen(logits[:, 0], self._live)
        chosen = torch.cat([first[:, None], best_tokens(logits[:, 1:])], dim=1).tolist()
        kept = []
        for one, guess, tokens in zip(self._live, guesses, chosen, strict=True):
            right = sum(
                1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(guess, tokens, strict=False))
            )
            if one.guesser and guess:
                one.guesser.record_acceptance(len(guess), right)
            kept.append(tokens[: right + 1])
        self._slots.extend([len(tokens) for tokens in kept])
        return kept

    def _steps_before_stops(self) -> int:
        """None beyond a row's window, none after which no row can be at work."""
        window = min(one.row.room - len(one.row.ids) for one in self._live)
        if any(one.row.control for one in self._live):
            return 1  # It depends on the tokens so far, which the host knows.
        longest = max(one.row.limit - len(one.row.ids) for one in self._live)
        return max(1, min(self._most_steps, window, longest))

    def _chosen(self, logits: torch.Tensor, live: Sequence[_AtWork]) -> torch.Tensor:
        rows = [one.row for one in live]
        return tokens_of_rows(logits, rows)

    def _add_tokens(
        self, first: int, tokens: Sequence[Sequence[int]]
    ) -> tuple[tuple[GenerateRequest, Generated | Failure], ...]:
        """Add tokens to each row from `first` on; answers of those done, whose slots are free."""
        rows = [one.row for one in self._live[first:]]
        for row, new in zip(rows, tokens, strict=True):
            for at, token in enumerate(new):
                self._rows.add(row, token)
                if row.answer is not None:
                    self._slots.computed -= len(new) - 1 - at
                    break
        left = [slot for slot, one in enumerate(self._live) if one.row.answer is None]
        if len(left) < len(self._live):
            self._slots.clear(
                [slot for slot, one in enumerate(self._live) if isinstance(one.row.answer, Failure)]
            )
            order = self._slots.keep(left)
            self._live = [self._live[slot] for slot in order]
        return tuple((row.request, row.answer) for row in rows if row.answer is not None)
