"""An engine of your own in one file: plain forward passes of transformers, one row at a time.

Install it in a package whose pyproject.toml says

    [project.entry-points."evalsuite.engines"]
    plain = "third_party_engine:KIND"

and run `evalsuite run --engine plain --tasks kitchen --model gpt2`.
"""

from collections.abc import Collection, Iterator, Sequence

import torch
from transformers import AutoModelForCausalLM

from evalsuite.checkpoints import tokenizer_digest, weights_digest
from evalsuite.checkpoints.files import context_window, vocabulary_rows
from evalsuite.engine.protocol import Block, R
from evalsuite.engine.settings import EngineKind, EngineSpec
from evalsuite.engine.stops import cut_at_stop
from evalsuite.types import Generated, GenerateRequest, ModelIdentity, Score, ScoreRequest, TokenIds


class PlainEngine:
    """Answers each request by itself; see `evalsuite.engine.protocol.Engine` for what each member promises."""

    def __init__(self, spec: EngineSpec) -> None:
        self._spec = spec
        self.tokenizer = spec.tokens.make(spec.files, trust_remote_code=spec.trust_remote_code)
        self.max_length = spec.tokens.window(context_window(spec.files))
        self.vocabulary = vocabulary_rows(spec.files)
        self._model = None

    @property
    def identity(self) -> ModelIdentity:
        """Stored answers are found again under these three; name your engine and what changes its numbers."""
        weights = weights_digest(self._spec.files, verify=False)
        tokenizer = tokenizer_digest(self.tokenizer.files, verify=False)
        return ModelIdentity(weights, tokenizer, "plain transformers float32")

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """Every request can be answered apart from the others."""
        return [(request,) for request in requests]

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[Block[ScoreRequest]]:
        """The log-probability of each continuation token after all tokens before it."""
        for request in set(requests) - set(answered):
            ids, count = request.context + request.continuation, len(request.continuation)
            rows = self._log_probs(ids)[-count - 1 : -1]
            targets = torch.tensor(request.continuation)
            greedy = bool((rows.argmax(-1) == targets).all())
            found = rows.gather(1, targets[:, None])[:, 0].tolist()
            yield Block(((request, Score(tuple(found), greedy)),), len(ids), len(ids))

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[Block[GenerateRequest]]:
        """Greedy text after each context, cut at the first stop string."""
        for request in set(requests) - set(answered):
            ids, text, finish = list[int](), "", "length"
            while len(ids) < request.max_tokens and finish == "length":
                token = int(self._log_probs((*request.context, *ids))[-1].argmax())
                ids.append(token)
                text = cut_at_stop(whole := self.tokenizer.decode(ids), request.stop)
                stopped = "stop" if len(text) < len(whole) else "length"
                finish = "eos" if token == self.tokenizer.eos_id else stopped
            yield Block(((request, Generated(text, len(ids), finish)),), len(ids), request.max_tokens)

    @torch.inference_mode()
    def _log_probs(self, ids: TokenIds) -> torch.Tensor:
        """(tokens, vocabulary) natural-log probabilities of the token after each of `ids`."""
        if self._model is None:
            self._model = AutoModelForCausalLM.from_pretrained(self._spec.files.folder, dtype=torch.float32)
        return self._model(torch.tensor([ids])).logits[0].float().log_softmax(-1)


KIND = EngineKind(PlainEngine)
