"""The native engine: runs transformers' models on packs and batches that evalsuite plans."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.native import deterministic
from evalsuite.engine.native.generator import TextGenerator
from evalsuite.engine.native.limits import Limits
from evalsuite.engine.native.model import ModelOptions, NativeModel
from evalsuite.engine.native.processes import OneProcess, Processes
from evalsuite.engine.native.scorer import LikelihoodScorer
from evalsuite.engine.native.tried import TriedModel
from evalsuite.engine.placement import SPREAD, resolve_logits_dtype, wait_without_spinning
from evalsuite.engine.planning.plan_cache import PlanCache
from evalsuite.engine.protocol import EngineDefaults, EngineEvent, R
from evalsuite.engine.settings import GRAPHS, EngineKind, EngineSpec, is_on
from evalsuite.engine.token_options import MODELS_OWN, TokenOptions
from evalsuite.engine.tokenizer import HuggingFaceTokenizer
from evalsuite.types import GenerateRequest, ModelIdentity, Request, ScoreRequest


class NativeEngine(EngineDefaults):
    """Answers requests with a transformers model on one device; see `protocol.Engine`.

    The work is done by the engine's parts: `model` (its configuration and weights), `tried` (the forms of
    computation that pass the trials, and the identity), `limits`, `scorer` and `generator`.

    Args:
        model: the model.
        tokenizer: its tokenizer.
        tokens: may set a shorter context window.
        token_budget: tokens per forward pass when scoring; chosen for the device and its memory if None.
    """

    def __init__(
        self,
        model: NativeModel,
        tokenizer: HuggingFaceTokenizer,
        tokens: TokenOptions = MODELS_OWN,
        token_budget: int | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.model = model
        self.tried = TriedModel(model, tokenizer)
        self.limits = Limits(model, tokens, token_budget)
        self.scorer = LikelihoodScorer(self.tried, self.limits)
        self.generator = TextGenerator(self.tried, self.limits, tokenizer)

    @property
    def device(self) -> str:
        """The device in use, for example "cpu" or "cuda:1"."""
        return self.model.device

    @property
    def identity(self) -> ModelIdentity:
        """What the answers depend on; loads the weights if no trials of this model are remembered."""
        return self.tried.identity

    @property
    def expected_identity(self) -> ModelIdentity:
        """The part of `identity` that is known without loading the weights."""
        return self.tried.expected_identity

    @property
    def knows_identity(self) -> bool:
        """Whether `identity` is known without loading the weights."""
        return self.tried.is_known

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on the model for the run log; complete once the requests are answered."""
        return self.model.notes

    @property
    def max_length(self) -> int | None:
        """Context window in tokens; None where the configuration states none."""
        return self.limits.max_length

    @property
    def vocabulary(self) -> int | None:
        """Vocabulary size: valid token ids are below it; None where the configuration does not say."""
        return self.model.vocabulary

    def share_plans(self, plans: PlanCache) -> None:
        """Use the plans that engines before this one made, and leave its own to those after it."""
        self.scorer.plans = plans

    def plan_for(self, device: str) -> None:
        """Make `partition` plan for `device`, where other processes hold the model."""
        self.model.device = device

    def load(self) -> None:
        """Load the weights and run the trials now; raises ModelError if that fails."""
        self.tried.load()

    def begin_loading(self) -> None:
        """Load the weights in a background thread; errors are raised when the weights are needed."""
        _ = self.tokenizer.eos_id  # load the tokenizer first: both loaders silence transformers meanwhile
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
        """Generate texts for the distinct `requests`; errors are as in `score`."""
        return self.generator.generate(requests, answered)

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """The packs or batches of scores, and texts whose prompts share a prefix; see `protocol.Engine`."""
        either: Sequence[Request] = requests
        scores: list[ScoreRequest] = [request for request in either if isinstance(request, ScoreRequest)]
        texts: list[GenerateRequest] = [request for request in either if isinstance(request, GenerateRequest)]
        return [*self.scorer.partition(scores), *self.generator.partition(texts)]  # type: ignore[list-item]


class TransformersEngine(NativeEngine):
    """The native engine with a model from files; see `protocol.Engine`.

    The constructor reads no files. The tokenizer is loaded when it is first used, the weights at the first
    `score` or `generate` with unanswered requests.

    Args:
        files: the model, from `evalsuite.checkpoints.resolve`.
        dtype: "auto" (float32 on a CPU, bfloat16 elsewhere), "float32", "bfloat16" or "float16".
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps", or "spread" (layers over all
            GPUs, and in the machine's memory when these are full).
        trust_remote_code: let the model's folder run its own code.
        verify_weights: hash every byte of the files again instead of trusting size and modification time.
        token_budget: tokens per forward pass when scoring; chosen for the device and its memory if None.
        logits_dtype: "float32", or "model": logits, log-probabilities and their sums rounded to the data type
            of the model's logits (lm-eval 0.4.13's HFLM).
        packed: score on packed trees if the model passes their trial; if False, always in padded batches.
        tokens: a tokenizer, prefix token or context window that replaces the model's.
        arguments: the engine's own settings, `deterministic=yes` (see `native.deterministic`) and `graphs=no`
            (see `engine.settings`).
        processes: the processes that share the model; None for this process alone.
    """

    model_class = NativeModel
    """The class that holds the weights; a benchmark replaces it by one with random weights."""

    def __init__(
        self,
        files: ModelFiles,
        *,
        dtype: str = "auto",
        device: str = "auto",
        trust_remote_code: bool = False,
        verify_weights: bool = False,
        token_budget: int | None = None,
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
            logits_dtype=resolve_logits_dtype(logits_dtype),
            packed=packed,
            deterministic=is_on(arguments or {}, deterministic.SETTING, usually=False),
            graphs=is_on(arguments or {}, GRAPHS, usually=True),
        )
        self.files = files
        super().__init__(
            self.model_class(files, options, processes or OneProcess(device)),
            tokens.make(files, trust_remote_code=trust_remote_code),
            tokens,
            token_budget,
        )


def _make(spec: EngineSpec) -> TransformersEngine:
    return TransformersEngine(spec.files, **spec.options)


KIND = EngineKind(_make, frozenset({deterministic.SETTING, GRAPHS}))
