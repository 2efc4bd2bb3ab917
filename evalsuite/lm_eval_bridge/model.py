"""evalsuite's engine as a model of lm-eval: `lm-eval run --model evalsuite --model_args pretrained=NAME`.

Encoding, windows and truncation are those of lm-eval 0.4.13's `HFLM` (`models/huggingface.py`). All requests
of a kind are planned together; `--batch_size` is ignored.
"""

import logging
import tempfile
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from lm_eval.api.model import LM
from tqdm import tqdm  # type: ignore[import-untyped]

from evalsuite.checkpoints import resolve
from evalsuite.engine.engines import make_engine
from evalsuite.engine.placement import resolve_device
from evalsuite.engine.settings import EngineSpec
from evalsuite.engine.token_options import TokenOptions
from evalsuite.errors import ModelError, UserError
from evalsuite.lm_eval_bridge.protocol import generation_settings
from evalsuite.progress import Silent, Stage
from evalsuite.requests.encode import encode_contexts, encode_documents
from evalsuite.requests.rolling import encode_rolling
from evalsuite.results.store import ResponseStore
from evalsuite.results.versions import ANSWERING, installed, told_of_origins
from evalsuite.runs.answering import answer
from evalsuite.types import Bos, Failure, Generated, GenerateRequest, Request, Response, Score, ScoreRequest

T = TypeVar("T")
log = logging.getLogger("lm_eval.models.evalsuite")
MAX_GEN_TOKS = 256
"""Default of tasks that do not set it (`HFLM.max_gen_toks`)."""
SHORTEST_WINDOW = 2048
"""Context window of a model whose configuration states none (`DEFAULT_MAX_LENGTH`)."""


class EvalsuiteLM(LM):  # type: ignore[misc]  # lm-eval has no types
    """Answers lm-eval's requests with the native engine.

    Args:
        pretrained: alias, hub id, folder, GGUF file, NeMo archive or raw checkpoint.
        revision: revision on the hub.
        model_config: folder, alias or hub id with the configuration and tokenizer of a raw checkpoint.
        peft: folder of a PEFT adapter that is merged into the model.
        dtype: auto (float32 on a CPU, bfloat16 on a GPU), float32, bfloat16 or float16.
        device: auto, cpu, cuda, cuda:1 or mps.
        logits_dtype: float32, or model: rounded to the model's data type as HFLM's are.
        trust_remote_code: run Python code from the model's repository.
        max_length: context window, shorter than the model's.
        add_bos_token: True or False forces it; by default the tokenizer decides.
        tokenizer: folder or hub id of a tokenizer in place of the model's.
        prefix_token_id: token that precedes a text without a context; by default BOS, else EOS.
        store: file that keeps answers, so that a killed run can continue; without it no answers are kept.
        batch_size: ignored.
        max_batch_size: ignored.
    """

    def __init__(
        self,
        pretrained: str,
        revision: str | None = None,
        model_config: str | None = None,
        peft: str | None = None,
        dtype: str = "auto",
        device: str | None = None,
        logits_dtype: str = "float32",
        trust_remote_code: bool = False,
        max_length: int | None = None,
        add_bos_token: bool | None = None,
        tokenizer: str | None = None,
        prefix_token_id: int | str | None = None,
        store: str | None = None,
        batch_size: int | str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        self.engine = make_engine(
            EngineSpec(
                "native",
                resolve(pretrained, revision=revision, model_config=model_config, adapter=peft),
                dtype=dtype,
                device=_device(device),
                logits_dtype=logits_dtype,
                trust_remote_code=trust_remote_code,
                tokens=TokenOptions(tokenizer, None if prefix_token_id is None else str(prefix_token_id)),
            )
        )
        self.max_length = min(filter(None, (max_length, self.engine.max_length)), default=SHORTEST_WINDOW)
        bos: dict[bool | None, Bos] = {None: "tokenizer", True: "always", False: "never"}
        self._bos = bos[add_bos_token]
        self._store = Path(store) if store else None

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-likelihood, is greedy) of each continuation; the beginning of a too long context is cut."""
        asked = [self._fitting(request) for request in self._encoded(requests)]
        answers = self._answered(asked, disable_tqdm)
        scores = [_score(answers[request]) for request in asked]
        found = [(score.log_likelihood, score.is_greedy) for score in scores]
        for request, result in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood", request.args, result)
        return found

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of each whole text, in windows if it is longer than the model's window."""
        texts = [request.args[0] for request in requests]
        windows = dict.fromkeys(text for text in texts if text)
        encoded = encode_rolling(self.engine.tokenizer, list(windows), self._bos, self.max_length, "lm_eval")
        asked = {
            text: [window.request for window in encodable(parts)]
            for text, parts in zip(windows, encoded, strict=True)
        }
        if any(window.scores_bos for parts in encoded for window in encodable(parts)):
            log.warning("The BOS token that the tokenizer adds is scored, too, as in lm-eval's hf backend.")
        scores = self._answered([request for parts in asked.values() for request in parts], disable_tqdm)
        found = [sum(_score(scores[part]).log_likelihood for part in asked.get(text, ())) for text in texts]
        for text, result in zip(texts, found, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), result)
        return found

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The generated text after each context; equal requests for sampled text give different samples."""
        texts_before = [request.args[0] for request in requests]
        contexts = encode_contexts(self.engine.tokenizer, texts_before, self._bos)
        seen: Counter[GenerateRequest] = Counter()
        asked = []
        for request, context in zip(requests, map(encodable, contexts), strict=True):
            settings = generation_settings(request.args[1], "The task", MAX_GEN_TOKS)
            capacity = self.max_length - settings.max_tokens
            if capacity < 1:
                raise UserError(
                    f"The task generates {settings.max_tokens} tokens, but the context window has "
                    f"{self.max_length}: lower max_gen_toks or raise max_length."
                )
            if len(context) > capacity:
                log.warning(
                    "The beginning of a context of %d tokens was cut, to leave space for the answer.",
                    len(context),
                )
            first = GenerateRequest(
                context[-capacity:],
                settings.stops(),
                settings.max_tokens,
                settings.temperature,
                settings.top_p,
                backend=settings.backend,
            )
            sample = seen[first] if settings.temperature > 0 else 0
            seen[first] += 1
            asked.append(replace(first, sample=sample))
        texts = self._answered(asked, disable_tqdm)
        found = [_text(texts[generated]) for generated in asked]
        for request, result in zip(requests, found, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, result)
        return found

    def get_model_info(self) -> dict[str, str]:
        """Digests and numerics class of the model, which lm-eval writes to its results."""
        identity = self.engine.identity
        return {
            "model_weights_sha256": identity.weights,
            "model_tokenizer_sha256": identity.tokenizer,
            "model_numerics": identity.numerics,
        }

    def _encoded(self, requests: Sequence[Any]) -> list[ScoreRequest]:
        """The requests, sliced as in lm-eval, or from a common token boundary where lm-eval would fail."""
        documents: dict[Hashable, list[int]] = {}
        for index, request in enumerate(requests):
            known = request.task_name is not None and request.doc_id is not None
            key = (request.task_name, request.doc_id) if known else index
            documents.setdefault(key, []).append(index)
        pairs = [[requests[index].args for index in indices] for indices in documents.values()]
        encoded = encode_documents(self.engine.tokenizer, pairs, self._bos, "lm_eval")
        by_index = {
            index: choice
            for indices, choices in zip(documents.values(), encoded, strict=True)
            for index, choice in zip(indices, encodable(choices), strict=True)
        }
        if joined := sum(choice.joined for choice in by_index.values()):
            log.warning("A token spans the end of the context and its continuation in %d requests.", joined)
        return [by_index[index].request for index in range(len(requests))]

    def _fitting(self, request: ScoreRequest) -> ScoreRequest:
        excess = len(request.context) + len(request.continuation) - (self.max_length + 1)
        if excess <= 0:
            return request
        if excess >= len(request.context):
            raise UserError(
                f"A continuation of {len(request.continuation)} tokens does not fit the context window of "
                f"{self.max_length} tokens."
            )
        log.warning(
            "The first %d of a context's %d tokens were cut to fit the window.", excess, len(request.context)
        )
        return ScoreRequest(request.context[excess:], request.continuation)

    def _answered(self, requests: Sequence[Request], quiet: bool) -> dict[Request, Response]:
        distinct = list(dict.fromkeys(requests))
        scores = [request for request in distinct if isinstance(request, ScoreRequest)]
        texts = [request for request in distinct if isinstance(request, GenerateRequest)]
        with tempfile.TemporaryDirectory() as folder:
            store = ResponseStore(self._store or Path(folder) / "responses.sqlite", installed(ANSWERING))
            try:
                with TokenBar(quiet) as bar:
                    answers = answer(scores, texts, self.engine, store, bar)
                for note in told_of_origins(store.origins(answers.stored), installed(ANSWERING)):
                    log.warning("%s", note)
                return answers.by_request
            finally:
                store.close()


def encodable(found: T | str) -> T:
    """The encoding; raises UserError if it is a reason why there is none."""
    if isinstance(found, str):
        raise UserError(f"A request cannot be encoded: {found.rstrip('.')}.")
    return found


def _device(requested: str | None) -> str:
    """The device; an unavailable one becomes `auto`, since lm-eval's command defaults to `cuda:0`."""
    try:
        return resolve_device(requested or "auto")
    except ModelError as error:
        log.warning("%s Using device auto.", error)
        return "auto"


class TokenBar(Silent):
    """Progress in tokens, like lm-eval's bars."""

    def __init__(self, quiet: bool) -> None:
        self._bar = tqdm(disable=quiet, unit=" tokens")

    def __enter__(self) -> "TokenBar":
        return self

    def __exit__(self, *failure: object) -> None:
        self._bar.close()

    def stage(self, stage: Stage) -> None:
        """Begin a stage."""
        self._bar.set_description(f"evalsuite: {stage.name}")

    def advance(self, count: int, planned: int) -> None:
        """Add `count` tokens of `planned`."""
        self._bar.total = planned
        self._bar.update(count)


def _score(response: Response) -> Score:
    if isinstance(response, Score):
        return response
    raise _lost(response)


def _text(response: Response) -> str:
    if isinstance(response, Generated):
        return response.text
    raise _lost(response)


def _lost(response: Response) -> UserError:
    """The error for an unanswered request, which lm-eval cannot represent; a score would be wrong."""
    reason = response.reason if isinstance(response, Failure) else "no answer"
    return UserError(f"A request was not answered: {reason}. Run it by evalsuite, which counts failures.")
