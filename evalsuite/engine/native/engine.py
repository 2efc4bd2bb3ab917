"""The native engine: transformers' models, run in batches planned here."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from evalsuite.checkpoints import ModelFiles
from evalsuite.checkpoints.files import vocabulary_rows
from evalsuite.engine.native import deterministic
from evalsuite.engine.native.generator import TextGenerator
from evalsuite.engine.native.limits import Limits
from evalsuite.engine.native.model import ModelOptions, NativeModel
from evalsuite.engine.native.processes import OneProcess, Processes
from evalsuite.engine.native.scorer import LikelihoodScorer
from evalsuite.engine.native.tried import TriedModel
from evalsuite.engine.placement import SPREAD, resolve_logits_dtype, wait_without_spinning
from evalsuite.engine.protocol import EngineDefaults, EngineEvent, R
from evalsuite.engine.settings import GRAPHS, EngineKind, EngineSpec, is_on
from evalsuite.engine.token_options import MODELS_OWN, TokenOptions
from evalsuite.types import GenerateRequest, ModelIdentity, Request, ScoreRequest


class TransformersEngine(EngineDefaults):
    """Answers requests with a transformers model on one device; see `protocol.Engine`.

    Building one reads nothing. The tokenizer is loaded when it is first used, the weights at the
    first `score` or `generate` that has work to do. What it does is done by its parts: `model` (files and
    weights), `tried` (the forms that fit it, and its identity), `limits`, `scorer` and `generator`.

    Args:
        files: the model, from `evalsuite.checkpoints.resolve`.
        dtype: "auto" (float32 on a CPU, bfloat16 elsewhere), "float32", "bfloat16" or "float16".
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps", or "spread" (layers over all
            GPUs, and in the machine's memory where these are full).
        trust_remote_code: let the model's folder run code of its own.
        verify_weights: hash every byte of the files again instead of trusting size and time.
        token_budget: tokens per forward pass when scoring; chosen for the device and its memory if None.
        allow_slow_kernels: run a Mamba model on a GPU without its kernels.
        logits_dtype: "float32", or "model": logits, log-probabilities and their sums rounded to the data type
            in which the model gives logits (lm-eval 0.4.13's HFLM).
        packed: score on packed trees where the model fits them; if False in padded batches.
        tokens: another tokenizer, prefix token or context window than the model's.
        arguments: its own settings, `deterministic=yes` (see `native.deterministic`) and `graphs=no` (see
            `engine.settings`).
        processes: who else holds a part of the model; nobody if None.
    """

    model_class = NativeModel
    """Holds the weights; a benchmark puts made-up ones in their place."""

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
        processes: Processes | None = None,
    ) -> None:
        wait_without_spinning()
        options = ModelOptions(
            dtype=dtype,
            spread=device == SPREAD,
            trust_remote_code=trust_remote_code,
            verify_weights=verify_weights,
            allow_slow_kernels=allow_slow_kernels,
            logits_dtype=resolve_logits_dtype(logits_dtype),
            packed=packed,
            deterministic=is_on(arguments or {}, deterministic.SETTING, usually=False),
        )
        graphs = is_on(arguments or {}, GRAPHS, usually=True)
        self.files = files
        self.tokenizer = tokens.make(files, trust_remote_code=trust_remote_code)
        self.model = self.model_class(files, options, processes or OneProcess(device))
        self.tried = TriedModel(self.model, self.tokenizer)
        self.limits = Limits(self.model, tokens, token_budget)
        self.scorer = LikelihoodScorer(self.tried, self.limits)
        self.generator = TextGenerator(self.tried, self.limits, self.tokenizer, graphs=graphs)

    @property
    def device(self) -> str:
        """The device in use, for example "cpu" or "cuda:1"."""
        return self.model.device

    @property
    def identity(self) -> ModelIdentity:
        """What the answers depend on; loads the weights where nobody has tried yet in which forms they are
        right."""
        return self.tried.identity

    @property
    def expected_identity(self) -> ModelIdentity:
        """`identity` as far as it is known without loading the weights."""
        return self.tried.expected_identity

    @property
    def knows_identity(self) -> bool:
        """Whether `identity` is known without loading the weights."""
        return self.tried.is_known

    @property
    def notes(self) -> tuple[str, ...]:
        """What the run log should say about the model; complete once the requests are answered."""
        return self.model.notes

    @property
    def max_length(self) -> int | None:
        """Context window in tokens; None where the configuration states none."""
        return self.limits.max_length

    @property
    def vocabulary(self) -> int | None:
        """Token ids below this number are the model's; None where the configuration does not say."""
        return vocabulary_rows(self.files)

    def plan_for(self, device: str) -> None:
        """Partition from now on as on that device, where other processes hold the model."""
        self.model.device = device

    def load(self) -> None:
        """Load the weights now, and try them; raises ModelError if they cannot be."""
        self.tried.load()

    def begin_loading(self) -> None:
        """Load the weights in a thread, beside other work; what is wrong with them is said when they are
        needed."""
        _ = self.tokenizer.eos_id  # loads it first: both silence transformers for that long
        self.model.begin_loading()

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[EngineEvent[ScoreRequest]]:
        """Score the distinct `requests`, most work first.

        Raises:
            ModelError: the model cannot be loaded.
            ValueError: a request is longer than the context window.
        """
        return self.scorer.score(requests, answered)

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[EngineEvent[GenerateRequest]]:
        """Generate for the distinct `requests`; errors as in `score`."""
        return self.generator.generate(requests, answered)

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """The packs or batches of scores, and texts by prompts that share a prefix; see `protocol.Engine`."""
        given: Sequence[Request] = requests
        scores: list[ScoreRequest] = [one for one in given if isinstance(one, ScoreRequest)]
        texts: list[GenerateRequest] = [one for one in given if isinstance(one, GenerateRequest)]
        return [*self.scorer.partition(scores), *self.generator.partition(texts)]  # type: ignore[list-item]


def _make(spec: EngineSpec) -> TransformersEngine:
    return TransformersEngine(spec.files, **spec.options)


KIND = EngineKind(_make, frozenset({deterministic.SETTING}), tuning=frozenset({GRAPHS}))
