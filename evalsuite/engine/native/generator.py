"""Text generation by the native engine: in slots, or in batches for models that cannot use slots."""

import functools
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from evalsuite.engine.native.limits import Limits
from evalsuite.engine.native.paths import PLAIN
from evalsuite.engine.native.trials.forms import BATCHES, NOTHING, ONE_LENGTH
from evalsuite.engine.native.tried import TriedModel
from evalsuite.engine.planning.batches import (
    any_lengths,
    cached_tokens,
    equal_lengths,
    no_rows,
    plan_generation,
    unanswered,
    within,
)
from evalsuite.engine.planning.prefixes import plan_slots, prefill_tokens
from evalsuite.engine.protocol import Answered, Begun, EngineEvent, Planned
from evalsuite.engine.tokenizer import HuggingFaceTokenizer
from evalsuite.errors import ModelError
from evalsuite.types import Failure, Generated, GenerateRequest

if TYPE_CHECKING:
    from evalsuite.engine.native.slots.forward import SlotModel
    from evalsuite.engine.native.slots.graphs import Graphing
    from evalsuite.engine.planning.prefixes import SlotPrompt

TextEvents = Iterator[EngineEvent[GenerateRequest]]


class TextGenerator:
    """Plans texts and generates them; see `protocol.Engine.generate`.

    Args:
        tried: the model, and the forms of computation that passed its trials.
        limits: the context window, and the size limits of a forward pass.
        tokenizer: the model's tokenizer.
    """

    def __init__(self, tried: TriedModel, limits: Limits, tokenizer: HuggingFaceTokenizer) -> None:
        self._tried = tried
        self._model = tried.model
        self._limits = limits
        self._tokenizer = tokenizer

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest]
    ) -> TextEvents:
        """Generate texts for the distinct `requests`; errors are as in `TransformersEngine.generate`."""
        prompts = plan_slots(requests, answered)
        longest = sum(request.max_tokens for prompt in prompts for request in prompt.requests)
        yield Planned(prefill_tokens(prompts) + longest)
        if not prompts:
            return
        self._limits.refuse_longer_than_window(len(prompt.shared) + len(prompt.own) + 1 for prompt in prompts)
        self._tried.load()
        yield Begun()
        fit = self._tried.fit
        if fit.slots:
            yield from self._generate_in_slots(fit.slots, prompts)
        else:
            self._model.add_note(fit.forms.text_note)
            yield from self._generate_in_batches(requests, answered)

    def partition(self, texts: Sequence[GenerateRequest]) -> list[tuple[GenerateRequest, ...]]:
        """Requests grouped by prompts that share a prefix; see `protocol.Engine.partition`."""
        from evalsuite.engine.planning.partition import generation_parts

        return generation_parts(texts, self._limits.budget.rows)

    @functools.cached_property
    def graphing(self) -> "Graphing | None":
        """Captures decode steps as CUDA graphs; None where their kernels are launched one by one."""
        if self._tried.fit.forms.paths.graphs == PLAIN.graphs:
            return None
        from evalsuite.engine.native.trials.graphs import graphing_for

        return graphing_for(self._model.loaded)

    def _generate_in_slots(self, slots: "SlotModel", prompts: "Sequence[SlotPrompt]") -> TextEvents:
        from evalsuite.engine.native.row import GrowingRows
        from evalsuite.engine.native.slots.capacity import capacity_for
        from evalsuite.engine.native.slots.generate import generate_in_slots

        model, graphing = self._model, self.graphing
        rows = GrowingRows(model.loaded, self._tokenizer, self._limits.max_length)
        capacity = capacity_for(slots, prompts, self._limits.sizes, rows.window)
        retry = model.processes.retries
        for done in generate_in_slots(slots, rows, prompts, capacity, retry=retry, graphing=graphing):
            yield Answered(done.answers, done.tokens)
        if graphing and graphing.refused:
            model.add_note(f"no more decode steps are captured as graphs: {graphing.refused}")

    def _generate_in_batches(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest]
    ) -> TextEvents:
        forms, model = self._tried.fit.forms, self._tried.fit.writing
        if forms.texts == NOTHING:
            raise ModelError(
                f"Model '{self._model.files.name}' ({type(model.model).__name__}) cannot generate: "
                f"one text by itself does not grow as plain forward passes have it ({forms.text_note})."
            )
        kinds = {BATCHES: any_lengths, ONE_LENGTH: equal_lengths}
        together = within(self._model.lengths, kinds.get(forms.texts, no_rows))
        planned = (
            batch
            for part in self.partition(requests)
            for batch in plan_generation(part, self._limits.sizes.batches, together)
        )
        batches = unanswered(planned, answered, lambda request: (request,))
        from evalsuite.engine.native.generate_batch import generate_batch
        from evalsuite.engine.native.memory import run_within_memory

        def run(batch: tuple[GenerateRequest, ...]) -> TextEvents:
            for done in generate_batch(model, self._tokenizer, self._limits.max_length, batch):
                yield Answered(
                    tuple(done), sum(len(request.context) + _length(text) for request, text in done)
                )

        def give_up(request: GenerateRequest, reason: str) -> EngineEvent[GenerateRequest]:
            return Answered(((request, Failure(reason)),), 0)

        retry = self._model.processes.retries
        yield from run_within_memory(batches, run, cached_tokens, give_up, retry=retry)


def _length(response: object) -> int:
    """Tokens of a generated text; 0 for a failure."""
    return response.tokens if isinstance(response, Generated) else 0
