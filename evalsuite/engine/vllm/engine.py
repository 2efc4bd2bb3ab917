"""The engine that runs a model in vLLM (`--engine vllm`, extra `vllm`).

Written from vLLM 0.33.0's source and tested against its signatures; not yet run on a GPU.
"""

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from evalsuite.checkpoints import ModelFiles, tokenizer_digest, tokenizer_folder, weights_digest
from evalsuite.checkpoints.adapters import MERGE_IT
from evalsuite.checkpoints.files import context_window, vocabulary_rows
from evalsuite.engine.native.loading.linked import loader_arguments
from evalsuite.engine.native.texts import RowText, TextRules
from evalsuite.engine.placement import DTYPES
from evalsuite.engine.protocol import Answered, Begun, EngineDefaults, EngineEvent, Planned, R, seed_of
from evalsuite.engine.settings import EngineKind, EngineSpec
from evalsuite.engine.stops import stop_tokens
from evalsuite.engine.token_options import MODELS_OWN, TokenOptions
from evalsuite.engine.vllm.score import ScorePrompt, read_scores, score_prompts
from evalsuite.engine.vllm.settings import SETTINGS, TUNING, llm_arguments
from evalsuite.errors import ModelError, UserError
from evalsuite.types import (
    Failure,
    Finish,
    Generated,
    GenerateRequest,
    ModelIdentity,
    Response,
    ScoreRequest,
)

PROMPTS_PER_CALL = 1024
"""Prompts per call: vLLM returns when all of them are done, and their answers are stored together."""


class VllmEngine(EngineDefaults):
    """Answers requests with vLLM on this machine's GPUs; see `protocol.Engine`.

    The constructor loads nothing. Generation, and scoring of continuations of one token, use prefix caching.

    Args:
        files: the model, from `evalsuite.checkpoints.resolve`.
        arguments: arguments of `vllm.LLM` as text; see `settings`.
        dtype: "auto" (bfloat16), "float32", "bfloat16" or "float16".
        device: "auto" or "cuda"; CUDA_VISIBLE_DEVICES selects the GPUs.
        trust_remote_code: let the model's folder run its own code.
        verify_weights: hash every byte of the files again.
        logits_dtype: "float32", the data type of vLLM's log-probabilities.
        tokens: a tokenizer, prefix token or context window that replaces the model's.

    Raises:
        UserError: an option that vLLM does not support.
    """

    def __init__(
        self,
        files: ModelFiles,
        *,
        arguments: Mapping[str, str] | None = None,
        dtype: str = "auto",
        device: str = "auto",
        trust_remote_code: bool = False,
        verify_weights: bool = False,
        logits_dtype: str = "float32",
        tokens: TokenOptions = MODELS_OWN,
    ) -> None:
        if device not in ("auto", "cuda"):
            raise UserError(
                f"--engine vllm does not support --device {device}: choose GPUs with CUDA_VISIBLE_DEVICES."
            )
        if logits_dtype != "float32":
            raise UserError("--engine vllm gives float32 log-probabilities; leave out --logits-dtype.")
        if dtype != "auto" and dtype not in DTYPES:
            raise UserError(f"Unknown data type '{dtype}': --engine vllm takes auto, {', '.join(DTYPES)}.")
        if files.gguf_file:
            raise UserError(
                "--engine vllm needs a folder with safetensors, not a GGUF file; --engine native reads it."
            )
        if files.adapter:
            raise UserError(f"--engine vllm applies no adapters: {MERGE_IT}, or use --engine native.")
        self.files = files
        self._settings = dict(arguments or {})
        if tokens.max_length is not None:
            if "max_model_len" in self._settings:
                raise UserError("Give either --max-length or --engine-arg max_model_len, not both.")
            self._settings["max_model_len"] = str(tokens.max_length)
        self._dtype = "bfloat16" if dtype == "auto" else dtype
        self._trust_remote_code = trust_remote_code
        self._verify_weights = verify_weights
        self._dead = ""
        self.tokenizer = tokens.make(files, trust_remote_code=trust_remote_code)

    @functools.cached_property
    def identity(self) -> ModelIdentity:
        """What the answers depend on, with vLLM's version and every given setting, parallel sizes too."""
        given = [f"{name}={value}" for name, value in sorted(self._settings.items()) if name not in TUNING]
        return ModelIdentity(
            weights=weights_digest(self.files, verify=self._verify_weights),
            tokenizer=tokenizer_digest(self.tokenizer.files, verify=self._verify_weights),
            numerics=" ".join(["vllm", vllm_version(), self._dtype, *given]),
        )

    @functools.cached_property
    def max_length(self) -> int | None:
        """Longest model input in tokens: vLLM reserves one token of its window for the generated token."""
        window = llm_arguments(self._settings).get("max_model_len") or context_window(self.files)
        return None if window is None else int(window) - 1

    @functools.cached_property
    def vocabulary(self) -> int | None:
        """Vocabulary size: valid token ids are below it; None where the configuration does not say."""
        return vocabulary_rows(self.files)

    def _arguments(self) -> dict[str, Any]:
        return {
            **llm_arguments(self._settings),
            "model": str(loader_arguments(self.files)[0]),
            "tokenizer": str(tokenizer_folder(self.tokenizer.files)),
            "dtype": self._dtype,
            "trust_remote_code": self._trust_remote_code,
        }

    @functools.cached_property
    def _llm(self) -> Any:
        vllm_version()
        arguments = self._arguments()
        try:
            from vllm import LLM

            return LLM(**arguments)
        except Exception as error:
            raise ModelError(f"vLLM cannot run model '{self.files.name}': {_first_line(error)}") from error

    def load(self) -> None:
        """Start vLLM now; raises ModelError if it does not start."""
        _ = self._llm

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[EngineEvent[ScoreRequest]]:
        """Score the distinct `requests`; raises ModelError if vLLM does not start."""
        prompts = score_prompts([request for request in requests if request not in answered])
        planned = sum(len(prompt.ids) for prompt in prompts)
        yield Planned(planned)
        yield from self._calls(prompts, self._score_call)

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[EngineEvent[GenerateRequest]]:
        """Generate texts for the distinct `requests`; errors are as in `score`."""
        left = sorted((r for r in requests if r not in answered), key=lambda r: (r.context, r.sample))
        planned = sum(len(request.context) + request.max_tokens for request in left)
        yield Planned(planned)
        yield from self._calls(left, self._generate_call)

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """Requests sorted by context and cut into parts; requests do not determine vLLM's own batches."""
        ordered = sorted(requests, key=lambda request: request.context)
        return [
            tuple(ordered[start : start + PROMPTS_PER_CALL])
            for start in range(0, len(ordered), PROMPTS_PER_CALL)
        ]

    def _calls(
        self,
        prompts: Sequence[Any],
        call: Callable[[Sequence[Any]], list[tuple[R, Response, int]]],
    ) -> Iterator[EngineEvent[R]]:
        """The answers of each call of vLLM, once the weights are loaded."""
        if not prompts:
            return
        self.load()
        yield Begun()
        for start in range(0, len(prompts), PROMPTS_PER_CALL):
            answers = call(prompts[start : start + PROMPTS_PER_CALL])
            pairs = tuple((request, response) for request, response, _ in answers)
            yield Answered(pairs, sum(tokens for _, _, tokens in answers))

    def _score_call(self, prompts: Sequence[ScorePrompt]) -> list[tuple[ScoreRequest, Response, int]]:
        outputs = self._run([(prompt.ids, prompt.sampling()) for prompt in prompts])
        answers: list[tuple[ScoreRequest, Response, int]] = []
        for prompt, output in zip(prompts, outputs, strict=True):
            if isinstance(output, Failure):
                answers += [(request, output, 0) for request in prompt.requests]
                continue
            read = read_scores(prompt, output)
            costs = [len(prompt.ids), *[0] * (len(read) - 1)]
            answers += [
                (request, response, cost) for (request, response), cost in zip(read, costs, strict=True)
            ]
        return answers

    def _generate_call(
        self, requests: Sequence[GenerateRequest]
    ) -> list[tuple[GenerateRequest, Response, int]]:
        outputs = self._run([(request.context, self._sampling(request)) for request in requests])
        return [
            (request, output, 0)
            if isinstance(output, Failure)
            else (request, *self._read_text(request, output))
            for request, output in zip(requests, outputs, strict=True)
        ]

    def _sampling(self, request: GenerateRequest) -> dict[str, Any]:
        """Arguments of `SamplingParams`."""
        most = request.max_tokens
        if self.max_length is not None:
            most = min(most, self.max_length + 1 - len(request.context))
        sampling: dict[str, Any] = {
            "temperature": request.temperature,
            "max_tokens": most,
            "stop": list(request.stop),
        }
        if ends := self._end_tokens(request):
            sampling["stop_token_ids"] = ends
        if request.temperature > 0:
            sampling |= {"top_p": request.top_p, "seed": seed_of(request)}
        return sampling

    def _end_tokens(self, request: GenerateRequest) -> list[int]:
        """Special tokens that are stop strings: vLLM's own search for stop strings ignores special tokens."""
        return stop_tokens(request.stop, self.tokenizer.special_texts)

    def _read_text(self, request: GenerateRequest, output: Any) -> tuple[Response, int]:
        """The text that the native engine would decode from the same tokens, and the computed tokens."""
        [generated] = output.outputs
        ids = generated.token_ids
        finish = _finish(request, generated, self._end_tokens(request))
        if finish is None:
            return Failure(f"vLLM gave up: {generated.finish_reason}"), 0
        rules = TextRules(self.tokenizer, request)
        hidden_end = finish == "eos" and not rules.as_lm_eval
        text, count, stopped = RowText(rules, request.context).replay(ids[:-1] if hidden_end else ids)
        tokens = len(ids)
        if stopped and (finish != "eos" or count < tokens):
            tokens, finish = count, "stop"
        return Generated(text, tokens, finish), len(request.context) + len(ids)

    def _run(self, prompts: Sequence[tuple[Sequence[int], dict[str, Any]]]) -> list[Any]:
        """vLLM's outputs; a failed call is repeated in halves, down to the failing prompt (a Failure)."""
        if self._dead:
            return [Failure(self._dead)] * len(prompts)
        from vllm import SamplingParams

        try:
            outputs: list[Any] = self._llm.generate(
                [{"prompt_token_ids": list(ids)} for ids, _ in prompts],
                [SamplingParams(**sampling) for _, sampling in prompts],
                use_tqdm=False,
            )
            return outputs
        except Exception as error:
            reason = f"vLLM failed: {_first_line(error)}"
            if _is_fatal(error):
                self._dead = reason
            if self._dead or len(prompts) == 1:
                return [Failure(reason)] * len(prompts)
            middle = len(prompts) // 2
            return [*self._run(prompts[:middle]), *self._run(prompts[middle:])]


def vllm_version() -> str:
    """The installed version of vLLM; raises UserError if it is not installed."""
    try:
        return metadata.version("vllm")
    except metadata.PackageNotFoundError:
        raise UserError("--engine vllm needs vLLM: pip install 'evalsuite[vllm]'.") from None


def _finish(request: GenerateRequest, generated: Any, ends: Collection[int]) -> Finish | None:
    """Why a text ended; None if vLLM gave up."""
    if generated.finish_reason == "length":
        return "window" if len(generated.token_ids) < request.max_tokens else "length"
    if generated.finish_reason != "stop":
        return None
    by_stop = isinstance(generated.stop_reason, str) or generated.stop_reason in ends
    return "stop" if by_stop else "eos"


def _is_fatal(error: Exception) -> bool:
    """Whether vLLM's engine process is dead, so that it answers no further request."""
    return any(kind.__name__ == "EngineDeadError" for kind in type(error).__mro__)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0]


def _make(spec: EngineSpec) -> VllmEngine:
    return VllmEngine(spec.files, **spec.options)


KIND = EngineKind(_make, SETTINGS, TUNING)
