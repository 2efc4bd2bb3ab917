"""evalsuite's engine as a model of lm-eval: `lm-eval run --model evalsuite --model_args pretrained=NAME`.

Encoding, windows and truncation are those of lm-eval 0.4.13's own `HFLM` (`models/huggingface.py`); all
requests of a kind are planned together, whatever `--batch_size` says.
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
from evalsuite.requests.encode import encode_contexts, encode_documents, encode_rolling
from evalsuite.results.store import ResponseStore
from evalsuite.results.versions import ANSWERING, installed, told_of_origins
from evalsuite.runs.answering import answer
from evalsuite.types import Bos, Failure, Generated, GenerateRequest, Request, Response, Score, ScoreRequest

T = TypeVar("T")
log = logging.getLogger("lm_eval.models.evalsuite")
MAX_GEN_TOKS = 256
"""Where a task does not say (`HFLM.max_gen_toks`)."""
SHORTEST_WINDOW = 2048
"""Of a model whose configuration states none (`DEFAULT_MAX_LENGTH`)."""


class EvalsuiteLM(LM):
    """Answers lm-eval's requests with the native engine.

    Args:
        pretrained: alias, hub id, folder, GGUF file or NeMo archive.
        revision: on the hub.
        dtype: auto (float32 on a CPU, bfloat16 on a GPU), float32, bfloat16 or float16.
        device: auto, cpu, cuda, cuda:1 or mps.
        logits_dtype: float32, or model: rounded to the model's data type as HFLM's are.
        trust_remote_code: run Python code that comes with the model.
        max_length: context window, where it is to be shorter than the model's.
        add_bos_token: True or False forces it; else the tokenizer decides.
        tokenizer: folder or hub id of another tokenizer than the model's.
        prefix_token_id: what stands before a text without a context, in place of the BOS token, else the EOS
            token.
        store: file with answers of earlier runs, so that a killed run goes on; none is kept without it.
        batch_size: ignored.
        max_batch_size: ignored.
    """

    def __init__(
        self,
        pretrained: str,
        revision: str | None = None,
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
                resolve(pretrained, revision=revision),
                dtype=dtype,
                device=_device(device),
                logits_dtype=logits_dtype,
                trust_remote_code=trust_remote_code,
                tokens=TokenOptions(tokenizer, None if prefix_token_id is None else str(prefix_token_id)),
            )
        )
        self.max_length = min(filter(None, (max_length, self.engine.max_length)), default=SHORTEST_WINDOW)
        self._bos: Bos = {None: "tokenizer", True: "always", False: "never"}[add_bos_token]  # type: ignore[assignment]
        self._store = Path(store) if store else None

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """(log-likelihood, is greedy) of each continuation; the context loses its beginning where it is too
        long."""
        asked = [self._fitting(one) for one in self._encoded(requests)]
        scores = self._answered(asked, disable_tqdm)
        found = [(_score(scores[one]).log_likelihood, _score(scores[one]).is_greedy) for one in asked]
        for request, result in zip(requests, found, strict=True):
            self.cache_hook.add_partial("loglikelihood", request.args, result)
        return found

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of each whole text, in windows where it is longer than the model's."""
        texts = [one.args[0] for one in requests]
        windows = dict.fromkeys(text for text in texts if text)
        encoded = encode_rolling(self.engine.tokenizer, list(windows), self._bos, self.max_length, "lm_eval")
        asked = {
            text: [one.request for one in encodable(some)]
            for text, some in zip(windows, encoded, strict=True)
        }
        if any(one.scores_bos for some in encoded for one in encodable(some)):
            log.warning("The BOS token that the tokenizer adds is among the scored ones, as in lm-eval's hf.")
        scores = self._answered([one for some in asked.values() for one in some], disable_tqdm)
        found = [sum(_score(scores[one]).log_likelihood for one in asked.get(text, ())) for text in texts]
        for text, result in zip(texts, found, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), result)
        return found

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """The text generated after each context; equal requests of sampled text give different samples."""
        contexts = encode_contexts(self.engine.tokenizer, [one.args[0] for one in requests], self._bos)
        seen: Counter[GenerateRequest] = Counter()
        asked = []
        for request, context in zip(requests, map(encodable, contexts), strict=True):
            settings = generation_settings(request.args[1], "The task", MAX_GEN_TOKS)
            room = self.max_length - settings.max_tokens
            if room < 1:
                raise UserError(
                    f"{settings.max_tokens} tokens are to be generated, and the context window has {self.max_length}: "
                    "lower max_gen_toks or raise max_length."
                )
            if len(context) > room:
                log.warning(
                    "A context of %d tokens loses its beginning to leave room for the answer.", len(context)
                )
            first = GenerateRequest(
                context[-room:],
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
        found = [_text(texts[one]) for one in asked]
        for request, result in zip(requests, found, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, result)
        return found

    def get_model_info(self) -> dict[str, str]:
        """What lm-eval writes beside its results."""
        identity = self.engine.identity
        return {
            "model_weights_sha256": identity.weights,
            "model_tokenizer_sha256": identity.tokenizer,
            "model_numerics": identity.numerics,
        }

    def _encoded(self, requests: Sequence[Any]) -> list[ScoreRequest]:
        """Sliced as lm-eval does; where it would stop, a document's choices are scored from a boundary that
        all share."""
        documents: dict[Hashable, list[int]] = {}
        for place, request in enumerate(requests):
            known = request.task_name is not None and request.doc_id is not None
            key = (request.task_name, request.doc_id) if known else place
            documents.setdefault(key, []).append(place)
        pairs = [[requests[place].args for place in places] for places in documents.values()]
        encoded = encode_documents(self.engine.tokenizer, pairs, self._bos, "lm_eval")
        by_place = {
            place: one
            for places, some in zip(documents.values(), encoded, strict=True)
            for place, one in zip(places, encodable(some), strict=True)
        }
        if joined := sum(one.joined for one in by_place.values()):
            log.warning("A token spans the end of the context and its continuation in %d requests.", joined)
        return [by_place[place].request for place in range(len(requests))]

    def _fitting(self, request: ScoreRequest) -> ScoreRequest:
        excess = len(request.context) + len(request.continuation) - (self.max_length + 1)
        if excess <= 0:
            return request
        if excess >= len(request.context):
            raise UserError(
                f"A continuation of {len(request.continuation)} tokens does not fit the context window of {self.max_length}."
            )
        log.warning(
            "A context of %d tokens loses its first %d to fit the window.", len(request.context), excess
        )
        return ScoreRequest(request.context[excess:], request.continuation)

    def _answered(self, requests: Sequence[Request], quiet: bool) -> dict[Request, Response]:
        distinct = list(dict.fromkeys(requests))
        scores = [one for one in distinct if isinstance(one, ScoreRequest)]
        texts = [one for one in distinct if isinstance(one, GenerateRequest)]
        with tempfile.TemporaryDirectory() as folder:
            store = ResponseStore(self._store or Path(folder) / "responses.sqlite", installed(ANSWERING))
            try:
                with TokenBar(quiet) as bar:
                    answers = answer(scores, texts, self.engine, store, bar)
                for told in told_of_origins(store.origins(answers.stored), installed(ANSWERING)):
                    log.warning("%s", told)
                return answers.by_request
            finally:
                store.close()


def encodable(found: T | str) -> T:
    """What was found; raises UserError with the reason where it is a sentence."""
    if isinstance(found, str):
        raise UserError(f"A request cannot be encoded: {found.rstrip('.')}.")
    return found


def _device(asked: str | None) -> str:
    """lm-eval's command asks for `cuda:0` where the user asks for nothing; its own backend then takes what
    there is."""
    try:
        return resolve_device(asked or "auto")
    except ModelError as error:
        log.warning("%s Taking what there is.", error)
        return "auto"


class TokenBar(Silent):
    """Progress in tokens, in the manner of lm-eval's own bars."""

    def __init__(self, quiet: bool) -> None:
        self._bar = tqdm(disable=quiet, unit=" tokens")

    def __enter__(self) -> "TokenBar":
        return self

    def __exit__(self, *failure: object) -> None:
        self._bar.close()

    def stage(self, stage: Stage) -> None:
        """A stage begins."""
        self._bar.set_description(f"evalsuite: {stage.name}")

    def advance(self, count: int, planned: int) -> None:
        """So many more tokens of so many."""
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
    """lm-eval has no word for a document without an answer: rather no score than a wrong one."""
    reason = response.reason if isinstance(response, Failure) else "no answer"
    return UserError(f"A request was not answered: {reason}. Run it by evalsuite, which counts failures.")
