"""Shared code of the benchmarks that send the same requests to evalsuite's engine and to lm-eval's HFLM."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.protocol import answers_in
from evalsuite.types import Generated, GenerateRequest, Request, Score, ScoreRequest

Asking = tuple[Request, str]
"""A request and its context as text."""


def by_evalsuite(engine: TransformersEngine, askings: Sequence[Asking]) -> list[Any]:
    """The log-likelihood or text for each request, from evalsuite's engine."""
    scores = [request for request, _ in askings if isinstance(request, ScoreRequest)]
    texts = [request for request, _ in askings if isinstance(request, GenerateRequest)]
    found: dict[Request, Any] = {}
    for request, response in (*answers_in(engine.score(scores)), *answers_in(engine.generate(texts))):
        assert isinstance(response, Score | Generated), response
        found[request] = response.log_likelihood if isinstance(response, Score) else response.text
    return [found[request] for request, _ in askings]


def by_hflm(model: Any, tokenizer: Any, batch: int | str) -> Callable[[Sequence[Asking]], list[Any]]:
    """A function that answers with HFLM on a transformers model; HFLM encodes the contexts of texts itself.

    Args:
        model: the model, on its device.
        tokenizer: transformers' tokenizer.
        batch: number of rows, or "auto".
    """
    from lm_eval.models.huggingface import HFLM

    return answering(HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch))


def answering(lm: Any) -> Callable[[Sequence[Asking]], list[Any]]:
    """A function that answers with one of lm-eval's models."""
    from lm_eval.api.instance import Instance

    def answer(askings: Sequence[Asking]) -> list[Any]:
        if isinstance(askings[0][0], ScoreRequest):
            return [total for total, _ in scores_by_hflm(lm, [request for request, _ in askings])]  # type: ignore[misc]
        asked = [
            Instance("generate_until", {}, (text, _settings(request)), n)  # type: ignore[arg-type]
            for n, (request, text) in enumerate(askings)
        ]
        return lm.generate_until(asked, disable_tqdm=True)

    return answer


def scores_by_hflm(hflm: Any, requests: Sequence[ScoreRequest]) -> list[tuple[float, bool]]:
    """(log-likelihood, is greedy) for each request, from the token ids."""
    encoded = [(("", str(n)), [*one.context], [*one.continuation]) for n, one in enumerate(requests)]
    return hflm._loglikelihood_tokens(encoded, disable_tqdm=True)


def _settings(request: GenerateRequest) -> dict[str, Any]:
    return {"until": [*request.stop], "max_gen_toks": request.max_tokens, "do_sample": False}


@dataclass
class Computed:
    """Counts of a model's work."""

    passes: int = 0
    positions: int = 0
    """Positions that went through the layers, padding included."""
    rows: int = 0
    """Rows that went through the head."""


@contextmanager
def counting(model: Any) -> Iterator[Computed]:
    """Count the model's work within this context, at the embedding and the head."""
    computed = Computed()

    def embedded(module: Any, inputs: tuple[Any, ...]) -> None:
        computed.passes += 1
        computed.positions += inputs[0].numel()

    def headed(module: Any, inputs: tuple[Any, ...]) -> None:
        computed.rows += inputs[0].numel() // inputs[0].shape[-1]

    handles = [
        model.get_input_embeddings().register_forward_pre_hook(embedded),
        model.get_output_embeddings().register_forward_pre_hook(headed),
    ]
    try:
        yield computed
    finally:
        for handle in handles:
            handle.remove()


def difference(ours: Sequence[Any], theirs: Sequence[Any]) -> str:
    """The largest difference of log-likelihoods, or the number of equal texts."""
    if isinstance(ours[0], str):
        same = sum(one == other for one, other in zip(ours, theirs, strict=True))
        return f"{same} of {len(ours)} texts equal"
    return f"{max(abs(one - other) for one, other in zip(ours, theirs, strict=True)):.1e}"
