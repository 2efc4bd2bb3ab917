"""Your own engine in one file: plain forward passes of transformers, one row at a time.

Install it in a package whose pyproject.toml says

    [project.entry-points."evalsuite.engines"]
    plain = "third_party_engine:KIND"

and run `evalsuite run --engine plain --tasks kitchen --model gpt2`.
"""

from collections.abc import Collection, Iterator, Sequence

import torch
from transformers import AutoModelForCausalLM

from evalsuite.checkpoints import model_folder, tokenizer_digest, weights_digest
from evalsuite.checkpoints.files import context_window, vocabulary_rows
from evalsuite.engine.protocol import Answered, EngineDefaults, EngineEvent, Planned, R
from evalsuite.engine.settings import EngineKind, EngineSpec
from evalsuite.engine.stops import cut_at_stop
from evalsuite.types import Generated, GenerateRequest, ModelIdentity, Score, ScoreRequest, TokenIds


class PlainEngine(EngineDefaults):
    """Answers each request alone; `evalsuite.engine.protocol.Engine` specifies each member."""

    def __init__(self, spec: EngineSpec) -> None:
        self._files = spec.files
        self.tokenizer = spec.tokens.make(spec.files, trust_remote_code=spec.trust_remote_code)
        self.max_length = spec.tokens.window(context_window(spec.files))
        self.vocabulary = vocabulary_rows(spec.files)
        self._model = None

    @property
    def identity(self) -> ModelIdentity:
        """The key of stored answers; name your engine and everything that changes its numbers."""
        files, tokenizer = self._files, self.tokenizer.files
        return ModelIdentity(weights_digest(files), tokenizer_digest(tokenizer), "plain transformers float32")

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """Every request can be answered alone."""
        return [(request,) for request in requests]

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[EngineEvent[ScoreRequest]]:
        """The log-probability of each continuation token after all tokens before it."""
        left = set(requests) - set(answered)
        yield Planned(sum(len(request.context) + len(request.continuation) for request in left))
        for request in left:
            ids, count = request.context + request.continuation, len(request.continuation)
            rows = self._log_probs(ids)[-count - 1 : -1]
            found = rows.gather(1, torch.tensor([request.continuation]).T)[:, 0]
            score = Score(tuple(found.tolist()), is_greedy=bool((found == rows.amax(-1)).all()))
            yield Answered(((request, score),), len(ids))

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[EngineEvent[GenerateRequest]]:
        """Greedy text after each context, cut at the first stop string."""
        left = set(requests) - set(answered)
        yield Planned(sum(request.max_tokens for request in left))
        for request in left:
            ids, text, finish = list[int](), "", "length"
            while len(ids) < request.max_tokens and finish == "length":
                ids.append(int(self._log_probs((*request.context, *ids))[-1].argmax()))
                text = cut_at_stop(whole := self.tokenizer.decode(ids), request.stop)
                finish = "eos" if ids[-1] == self.tokenizer.eos_id else "stop" if text != whole else "length"
            yield Answered(((request, Generated(text, len(ids), finish)),), len(ids))

    @torch.inference_mode()
    def _log_probs(self, ids: TokenIds) -> torch.Tensor:
        """(tokens, vocabulary) natural-log probabilities of the token after each of `ids`."""
        if self._model is None:
            self._model = AutoModelForCausalLM.from_pretrained(model_folder(self._files), dtype=torch.float32)
        return self._model(torch.tensor([ids])).logits[0].float().log_softmax(-1)


KIND = EngineKind(PlainEngine)
