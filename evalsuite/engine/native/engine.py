"""The native engine: transformers' models, run in batches planned here."""

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from importlib import metadata
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from evalsuite.checkpoints import ModelFiles, tokenizer_digest, weights_digest
from evalsuite.checkpoints.files import context_window, read_config, vocabulary_rows
from evalsuite.engine.native import deterministic, kernels
from evalsuite.engine.native.fit_trees import why_not
from evalsuite.engine.native.models import support_for
from evalsuite.engine.native.trials.forms import (
    BATCHES,
    NOTHING,
    ONE_LENGTH,
    PACKED,
    SLOTS,
    Forms,
    remember,
    remembered,
)
from evalsuite.engine.placement import (
    ROUNDED_SCORES,
    SPREAD,
    Budget,
    default_budget,
    keep_freed_memory,
    reduced_float32,
    resolve_device,
    resolve_dtype,
    resolve_logits_dtype,
    wait_without_spinning,
)
from evalsuite.engine.planning.batches import (
    ScoreRow,
    Together,
    any_lengths,
    cached_tokens,
    equal_lengths,
    no_rows,
    padded_tokens,
    plan_generation,
    plan_scoring,
    unanswered,
    within,
)
from evalsuite.engine.planning.prefixes import plan_slots, prefill_tokens
from evalsuite.engine.planning.rope import LengthRule, length_rule
from evalsuite.engine.protocol import Block, R
from evalsuite.engine.settings import GRAPHS, EngineKind, EngineSpec, is_on
from evalsuite.engine.token_options import MODELS_OWN, TokenOptions
from evalsuite.errors import ModelError
from evalsuite.types import Failure, GenerateRequest, ModelIdentity, Request, ScoreRequest, sha256_of

if TYPE_CHECKING:
    from evalsuite.engine.native.loading.load import LoadedModel
    from evalsuite.engine.native.slots.graphs import Graphing
    from evalsuite.engine.native.trials.fit import Fit
    from evalsuite.engine.planning.plan import Run, ScorePlan

RowT = TypeVar("RowT")
ResultT = TypeVar("ResultT")

REMOTE_CODE = "remote-code"
"""Says in a class of numerics that the model's own code ran, where transformers may have an implementation, too."""
AS_ASKED = "as asked"
BY_LENGTH = "by-length"
"""Says in a class of numerics that only rows are computed together whose lengths are rotated alike (`rope`)."""
LARGEST_VOCABULARY = 2**18
"""Assumed where a configuration does not say."""


class TransformersEngine:
    """Answers requests with a transformers model on one device; see `protocol.Engine`.

    Building one reads nothing. The tokenizer is loaded when it is first used, the weights at the
    first `score` or `generate` that has work to do.

    Args:
        files: the model, from `evalsuite.checkpoints.resolve`.
        dtype: "auto" (float32 on a CPU, bfloat16 elsewhere), "float32", "bfloat16" or "float16".
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps", or "spread" (layers over all GPUs, and
            in the machine's memory where these are full).
        trust_remote_code: let the model's folder run code of its own.
        verify_weights: hash every byte of the files again instead of trusting size and time.
        token_budget: tokens per forward pass when scoring; chosen for the device and its memory if None.
        allow_slow_kernels: run a Mamba model on a GPU without its kernels.
        logits_dtype: "float32", or "model": logits, log-probabilities and their sums rounded to the data type in which
            the model gives logits (lm-eval 0.4.13's HFLM).
        packed: score on packed trees where the model fits them; if False in padded batches.
        tokens: another tokenizer, prefix token or context window than the model's.
        arguments: its own settings, `deterministic=yes` (see `engine.deterministic`) and `graphs=no` (see `engine.settings`).
    """

    def __init__(
        self,
        files: ModelFiles,
        *,
        dtype: str = "auto",
        device: str = "auto",
        trust_remote_code: bool = False,
        verify_weights: bool = False,
        token_budget: int | None = None,
        allow_slow_kernels: bool = False,
        logits_dtype: str = "float32",
        packed: bool = True,
        tokens: TokenOptions = MODELS_OWN,
        arguments: Mapping[str, str] | None = None,
    ) -> None:
        wait_without_spinning()
        self.files = files
        self._dtype = dtype
        self._device = device
        self.spread = device == SPREAD
        self._trust_remote_code = trust_remote_code
        self._verify_weights = verify_weights
        self._token_budget = token_budget
        self._allow_slow_kernels = allow_slow_kernels
        self._logits_dtype = resolve_logits_dtype(logits_dtype)
        self._packed = packed
        self._deterministic = is_on(arguments or {}, deterministic.SETTING, usually=False)
        self._graphs = is_on(arguments or {}, GRAPHS, usually=True)
        self._tokens = tokens
        self.tokenizer = tokens.make(files, trust_remote_code=trust_remote_code)
        self._loading: Future[LoadedModel] | None = None
        self.notes: tuple[str, ...] = ()
        """What the run log should say about the model; complete once the weights are loaded."""

    @functools.cached_property
    def device(self) -> str:
        """The device in use, for example "cpu" or "cuda:1"."""
        return resolve_device(self._device)

    @functools.cached_property
    def dtype(self) -> str:
        """The data type in use, for example "float32"."""
        return resolve_dtype(self._dtype, self.device)

    @functools.cached_property
    def identity(self) -> ModelIdentity:
        """What the answers depend on; loads the weights where nobody has tried yet in which forms they are right."""
        return ModelIdentity(
            weights=weights_digest(self.files, verify=self._verify_weights),
            tokenizer=tokenizer_digest(self.tokenizer.files, verify=self._verify_weights),
            numerics=self._numerics(self.forms),
        )

    @property
    def expected_identity(self) -> ModelIdentity:
        """`identity` as far as it is known without loading the weights."""
        return ModelIdentity(
            weights=weights_digest(self.files, verify=self._verify_weights),
            tokenizer=tokenizer_digest(self.tokenizer.files, verify=self._verify_weights),
            numerics=self._numerics(self.expected_forms),
        )

    def _numerics(self, forms: Forms | None) -> str:
        """Engine, data type, kind of device, the kernels of families that have some, in which forms it computes."""
        support = support_for(read_config(self.files).get("model_type", ""))
        parts = ["transformers", self.dtype, self.device.partition(":")[0]]
        if support.kernels and parts[-1] == "cuda":
            parts.append("reference" if support.missing_kernels(self.device) else support.kernels)
        if not kernels.why_not(self.device):
            parts.append(kernels.NUMERICS)
        parts += forms.words if forms else ()
        if length_rule(read_config(self.files)):
            parts.append(BY_LENGTH)
        if self.spread:
            parts.append(SPREAD)
        if self._deterministic:
            parts.append(deterministic.SETTING)
        if self._trust_remote_code and "auto_map" in read_config(self.files):
            parts.append(REMOTE_CODE)
        if self.dtype == "float32" and (reduced := reduced_float32()):
            parts.append(reduced)
        if self._logits_dtype == "model":
            parts.append(ROUNDED_SCORES)
        return " ".join(parts)

    @functools.cached_property
    def forms(self) -> Forms:
        """The forms that are right for the model; loads the weights where nobody has tried them yet.

        Raises:
            ModelError: the model cannot be loaded.
        """
        return self._known_forms or self._fit.forms

    @property
    def is_tried(self) -> bool:
        """Whether `identity` is known without loading the weights."""
        return "forms" in self.__dict__ or self._known_forms is not None

    @property
    def expected_forms(self) -> Forms:
        """The forms as far as they are known without loading the weights."""
        if "forms" in self.__dict__:
            return self.forms
        if self._known_forms:
            return self._known_forms
        reason = self._why_not_packed
        return Forms(BATCHES if reason else PACKED, SLOTS, reason)

    @property
    def why_batches(self) -> str:
        """Why scoring does not run on packed trees, as far as is known without loading; empty if it does."""
        return self.expected_forms.why_not_packed

    @functools.cached_property
    def _why_not_packed(self) -> str:
        """Why packed trees are not tried; empty if they are."""
        if not self._packed:
            return AS_ASKED
        if self.spread:
            return "its layers may be on several devices"
        return why_not(read_config(self.files), self.device, remote_code=self._trust_remote_code)

    @functools.cached_property
    def _known_forms(self) -> Forms | None:
        """What the trials of an earlier run found; None where there was none."""
        return remembered(self._forms_key)

    @functools.cached_property
    def _forms_key(self) -> str:
        """Of all that the outcome of the trials depends on."""
        versions = [metadata.version(name) for name in ("evalsuite", "torch", "transformers")]
        weights = weights_digest(self.files, verify=self._verify_weights)
        return sha256_of([weights, self._numerics(None), self._why_not_packed, *versions])

    @functools.cached_property
    def _fit(self) -> "Fit":
        """The loaded model as its trials leave it.

        Raises:
            ModelError: the model cannot be loaded, or an earlier run found other forms.
        """
        from evalsuite.engine.native.trials.fit import fit

        known, found = self._known_forms, fit(self._loaded, self._why_not_packed, asked=not self._packed)
        for note in found.notes:
            self._tell(note)
        if known != found.forms:
            remember(self._forms_key, found.forms)
        if known and not known.is_as(found.forms):
            raise ModelError(
                f"Model '{self.files.name}' is computed in other forms than an earlier run found ({found.forms.scores} "
                f"and {found.forms.texts}, not {known.scores} and {known.texts}), so that answers would be stored under "
                "the wrong name; run the same command again, which now knows."
            )
        return found

    @functools.cached_property
    def max_length(self) -> int | None:
        """Context window in tokens; None where the configuration states none."""
        return self._tokens.window(context_window(self.files))

    @functools.cached_property
    def vocabulary(self) -> int | None:
        """Token ids below this number are the model's; None where the configuration does not say."""
        return vocabulary_rows(self.files)

    @functools.cached_property
    def budget(self) -> Budget:
        """How much a batch may hold."""
        budget = default_budget(self.device)
        return budget if self._token_budget is None else replace(budget, tokens=self._token_budget)

    @functools.cached_property
    def pack_tokens(self) -> int:
        """Tokens of a packed forward pass: as given, else as many as the memory is sure to hold."""
        from evalsuite.engine.native.memory_estimate import pack_tokens

        return self._token_budget or pack_tokens(self.files, self.dtype, self.device)

    @property
    def _most_tokens(self) -> int:
        from evalsuite.engine.native.memory_estimate import MOST_TOKENS

        return self._token_budget or MOST_TOKENS

    @functools.cached_property
    def _loaded(self) -> "LoadedModel":
        return self._loading.result() if self._loading else self._load()

    def begin_loading(self) -> None:
        """Load the weights in a thread, beside other work; what is wrong with them is said when they are needed."""
        _ = self.tokenizer.eos_id  # loads it first: both silence transformers for that long
        pool = ThreadPoolExecutor(1, "weights")
        self._loading = pool.submit(self._load)
        pool.shutdown(wait=False)

    def _load(self, processes: int = 1) -> "LoadedModel":
        from evalsuite.engine.native.cpu.onednn import lay_out_weights
        from evalsuite.engine.native.loading.load import load_model
        from evalsuite.engine.native.probe.causal import refuse_unless_causal

        if self.device == "cpu":
            keep_freed_memory()
        if self._deterministic:
            deterministic.switch_on()
        loaded = load_model(
            self.files,
            device=self.device,
            dtype=self.dtype,
            trust_remote_code=self._trust_remote_code,
            allow_slow_kernels=self._allow_slow_kernels,
            rounded_logits=self._logits_dtype == "model",
            processes=processes,
            spread=self.spread,
        )
        self._refuse_if_changed()
        refuse_unless_causal(loaded, self.files.name)
        loaded = replace(loaded, fixed_sizes=self._deterministic)
        if self.lays_out and processes == 1:
            lay_out_weights(loaded.model, self._free_bytes())
        self.notes = loaded.notes
        if why := self.device.startswith("cuda") and kernels.why_not(self.device):
            self._tell(f"trees and log-probabilities without our own kernels: {why}")
        return loaded

    def _refuse_if_changed(self) -> None:
        """Raises ModelError where the files in memory may not be those that were hashed: somebody wrote to them."""
        hashed: ModelIdentity | None = self.__dict__.get("identity")
        if hashed and weights_digest(self.files) != hashed.weights:
            raise ModelError(
                f"The files of model '{self.files.name}' changed between hashing and loading: wait until they are "
                "written, then run again."
            )

    @property
    def lays_out(self) -> bool:
        """Whether weights are copied into a faster layout where memory is ample; not where that must not matter."""
        return self.device == "cpu" and self.dtype == "float32" and not self._deterministic

    def load(self) -> None:
        """Load the weights now, and try them; raises ModelError if they cannot be."""
        _ = self._fit, self.forms

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[Block[ScoreRequest]]:
        """Score the distinct `requests`, most work first; the first block is empty and tells `planned`.

        Raises:
            ModelError: the model cannot be loaded.
            ValueError: a request is longer than the context window.
        """
        if self.why_batches:
            yield from self._score_in_batches(requests, answered)
            return
        from evalsuite.engine.planning.plan import without

        plan = self.plan_packs(requests)
        runs, planned = without(plan, answered)
        yield Block((), 0, planned)
        if not runs:
            return
        self._refuse_longer_than_window(plan.inputs.lengths[[*chain(*runs)]].tolist())
        yield self._begun(planned)
        if self.why_batches:
            yield from self._score_in_batches(requests, answered)
            return
        from evalsuite.engine.native.score_packed import score_run

        model = self._fit.scoring

        def run(inputs: "Run") -> Iterator[Block[ScoreRequest]]:
            yield Block(tuple(score_run(model, plan, inputs)), plan.inputs.tokens_of(inputs), planned)

        def give_up(index: int, reason: str) -> Block[ScoreRequest]:
            return Block(tuple((request, Failure(reason)) for request in plan.requests[index]), 0, planned)

        yield from self._within_memory(runs, run, plan.inputs.tokens_of, give_up)

    @property
    def _sharing(self) -> Together:
        """Which rows of scores may share a batch."""
        alone = self.expected_forms.scores not in (PACKED, BATCHES)
        return within(self._length_rule, no_rows if alone else any_lengths)

    @property
    def _length_rule(self) -> LengthRule | None:
        """As the loaded model has it; before, as its configuration tells."""
        if "_loaded" in self.__dict__:
            return self._loaded.lengths
        return length_rule(read_config(self.files))

    def plan_packs(self, requests: Sequence[ScoreRequest]) -> "ScorePlan":
        """Packed trees; only where memory is short is a part of `partition` more than one of them."""
        from evalsuite.engine.planning.plan import plan_scoring as plan_packs

        return plan_packs(requests, self.pack_tokens, self._most_tokens)

    def plan_batches(self, requests: Sequence[ScoreRequest]) -> list[tuple[ScoreRow, ...]]:
        """Padded batches, for models that do not fit on packed trees."""
        vocabulary = read_config(self.files).get("vocab_size", LARGEST_VOCABULARY)
        parts: list[Sequence[ScoreRequest]] = (
            [requests] if self._why_not_packed else [*self.partition(requests)]
        )
        together = self._sharing
        return [batch for part in parts for batch in plan_scoring(part, self.budget, vocabulary, together)]

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """The packs or batches of scores, and texts by prompts that share a prefix; see `protocol.Engine`."""
        from evalsuite.engine.planning.partition import generation_parts

        given: Sequence[Request] = requests
        scores: list[ScoreRequest] = [one for one in given if isinstance(one, ScoreRequest)]
        texts: list[GenerateRequest] = [one for one in given if isinstance(one, GenerateRequest)]
        return [*self._score_parts(scores), *generation_parts(texts, self.budget.rows)]  # type: ignore[list-item]

    def _score_parts(self, scores: Sequence[ScoreRequest]) -> list[tuple[ScoreRequest, ...]]:
        from evalsuite.engine.planning.plan import plan_scoring as plan_packs

        if self._why_not_packed:  # not `why_batches`: parts are the same before and after the trials
            return [
                tuple(one for row in batch for one in row.requests) for batch in self.plan_batches(scores)
            ]
        plan = plan_packs(scores, self._most_tokens)
        return [tuple(one for index in run for one in plan.requests[index]) for run in plan.runs]

    def _tell(self, note: str) -> None:
        self.notes = tuple(dict.fromkeys((*self.notes, note))) if note else self.notes

    def _score_in_batches(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest]
    ) -> Iterator[Block[ScoreRequest]]:
        rows = unanswered(self.plan_batches(requests), answered, lambda row: row.requests)
        planned = sum(len(row.ids) for batch in rows for row in batch)
        yield Block((), 0, planned)
        if not rows:
            return
        self._refuse_longer_than_window(len(row.ids) for batch in rows for row in batch)
        yield self._begun(planned)
        batches = unanswered(self.plan_batches(requests), answered, lambda row: row.requests)  # as tried
        forms = self._fit.forms
        if forms.scores == NOTHING:
            raise ModelError(
                f"Model '{self.files.name}' ({type(self._loaded.model).__name__}) cannot be scored: one row by itself "
                f"does not give what a plain forward pass gives ({forms.score_note})."
            )
        self._tell(forms.score_note)
        from evalsuite.engine.native.score_batch import score_batch

        def run(batch: tuple[ScoreRow, ...]) -> Iterator[Block[ScoreRequest]]:
            tokens = sum(len(row.ids) for row in batch)
            yield Block(tuple(score_batch(self._loaded, batch)), tokens, planned)

        def give_up(row: ScoreRow, reason: str) -> Block[ScoreRequest]:
            return Block(tuple((request, Failure(reason)) for request in row.requests), 0, planned)

        yield from self._within_memory(batches, run, padded_tokens, give_up)

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[Block[GenerateRequest]]:
        """Generate for the distinct `requests`; first block and errors as in `score`."""
        prompts = plan_slots(requests, answered)
        planned = prefill_tokens(prompts) + sum(
            one.max_tokens for prompt in prompts for one in prompt.requests
        )
        yield Block((), 0, planned)
        if not prompts:
            return
        self._refuse_longer_than_window(len(one.shared) + len(one.own) + 1 for one in prompts)
        yield self._begun(planned)
        model = self._fit.slots
        if model is None:
            self._tell(self._fit.forms.text_note)
            yield from self._generate_in_batches(requests, answered, planned)
            return
        from evalsuite.engine.native.row import Rows
        from evalsuite.engine.native.slots.capacity import room_for
        from evalsuite.engine.native.slots.generate import generate_in_slots

        rows = Rows(self._loaded, self.tokenizer, self.max_length)
        room = room_for(model, prompts, self.budget, self._free_bytes())
        for done in generate_in_slots(
            model, rows, prompts, room, retry=self._may_retry, graphing=self._graphing
        ):
            yield Block(done.answers, done.tokens, planned)
        if self._graphing and self._graphing.refused:
            self._tell(f"texts are generated without CUDA graphs: {self._graphing.refused}")

    @functools.cached_property
    def _graphing(self) -> "Graphing | None":
        """What records the steps of texts; None where they are launched operation by operation."""
        # A team that may not retry may not record, either: both have to go alike in all of its processes.
        if not (self._graphs and self.device.startswith("cuda") and self._may_retry):
            return None
        if self._deterministic or self.spread:
            return None
        from evalsuite.engine.native.differences import allowed_difference
        from evalsuite.engine.native.slots.cuda_graphs import CudaRecorder
        from evalsuite.engine.native.slots.graphs import Graphing

        return Graphing(CudaRecorder(self.device), allowed_difference(self._loaded.model.dtype))

    def _generate_in_batches(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest], planned: int
    ) -> Iterator[Block[GenerateRequest]]:
        forms, model = self._fit.forms, self._fit.writing
        if forms.texts == NOTHING:
            raise ModelError(
                f"Model '{self.files.name}' ({type(model.model).__name__}) cannot generate: one text by itself does "
                f"not grow as plain forward passes have it ({forms.text_note})."
            )
        kinds = {BATCHES: any_lengths, ONE_LENGTH: equal_lengths}
        together = within(self._length_rule, kinds.get(forms.texts, no_rows))
        planned_batches = (
            batch
            for part in self.partition(requests)
            for batch in plan_generation(part, self.budget, together)
        )
        batches = unanswered(planned_batches, answered, lambda request: (request,))
        from evalsuite.engine.native.generate_batch import generate_batch

        def run(batch: tuple[GenerateRequest, ...]) -> Iterator[Block[GenerateRequest]]:
            for done in generate_batch(model, self.tokenizer, self.max_length, batch):
                tokens = sum(len(request.context) + getattr(answer, "tokens", 0) for request, answer in done)
                yield Block(tuple(done), tokens, planned)

        def give_up(request: GenerateRequest, reason: str) -> Block[GenerateRequest]:
            return Block(((request, Failure(reason)),), 0, planned)

        yield from self._within_memory(batches, run, cached_tokens, give_up)

    def _within_memory(
        self,
        batches: Sequence[tuple[RowT, ...]],
        run: Callable[[tuple[RowT, ...]], Iterator[ResultT]],
        size: Callable[[Sequence[RowT]], int],
        give_up: Callable[[RowT, str], ResultT],
    ) -> Iterator[ResultT]:
        from evalsuite.engine.native.memory import run_within_memory

        return run_within_memory(batches, run, size, give_up, retry=self._may_retry)

    @property
    def _may_retry(self) -> bool:
        """Whether work that ran out of memory is tried again in smaller pieces."""
        return True

    def _free_bytes(self) -> int:
        from evalsuite.engine.native.memory import free_bytes

        return free_bytes(self.device)

    def _begun(self, planned: int) -> Block:
        """An empty block once the weights are loaded and tried: the work's clock starts here."""
        _ = self._fit, self.forms
        return Block((), 0, planned)

    def _refuse_longer_than_window(self, lengths: Iterable[int]) -> None:
        longest = max(lengths)
        if self.max_length is not None and longest > self.max_length:
            raise ValueError(f"A request needs {longest} tokens; the context window has {self.max_length}.")


def _make(spec: EngineSpec) -> TransformersEngine:
    return TransformersEngine(
        spec.files,
        dtype=spec.dtype,
        device=spec.device,
        trust_remote_code=spec.trust_remote_code,
        verify_weights=spec.verify_weights,
        logits_dtype=spec.logits_dtype,
        tokens=spec.tokens,
        arguments=spec.own,
    )


KIND = EngineKind(_make, frozenset({deterministic.SETTING}), tuning=frozenset({GRAPHS}))
