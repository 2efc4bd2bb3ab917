"""Scoring with vLLM: one prompt for all requests with the same model input.

The input of a request is its context and continuation without the last token. The log-probability of that
last token comes from the step after the prompt, by its id (`logprob_token_ids`); those of earlier tokens come
from the prompt's log-probabilities. So the letters of a question share one prompt, and a request with a
continuation of one token uses the prefix cache, which vLLM does not read if prompt log-probabilities are
requested.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evalsuite.types import Failure, Score, ScoreRequest, TokenIds

MOST_IDS = 128
"""Most token ids per request to vLLM (0.33.0, sampling_params.py, MAX_LOGPROB_TOKEN_IDS)."""


@dataclass(frozen=True)
class ScorePrompt:
    """A model input and its requests."""

    ids: TokenIds
    requests: tuple[ScoreRequest, ...]

    @property
    def last_ids(self) -> list[int]:
        """The last tokens of the continuations."""
        return sorted({request.continuation[-1] for request in self.requests})

    def sampling(self) -> dict[str, Any]:
        """Arguments of `SamplingParams`."""
        sampling = {
            "temperature": 0.0,
            "max_tokens": 1,
            "logprob_token_ids": self.last_ids,
            "detokenize": False,
        }
        if any(len(request.continuation) > 1 for request in self.requests):
            sampling["prompt_logprobs"] = 0  # only each prompt token's own log-probability, with its rank
        return sampling


def score_prompts(requests: Sequence[ScoreRequest]) -> list[ScorePrompt]:
    """The distinct inputs of `requests`, sorted, so that inputs with a common prefix are adjacent."""
    by_input: dict[TokenIds, dict[int, list[ScoreRequest]]] = {}
    for request in requests:
        ids = (request.context + request.continuation)[:-1]
        by_input.setdefault(ids, {}).setdefault(request.continuation[-1], []).append(request)
    return [
        ScorePrompt(ids, tuple(request for group in part for request in group))
        for ids in sorted(by_input)
        for part in _parts(list(by_input[ids].values()))
    ]


def _parts(groups: list[list[ScoreRequest]]) -> Iterator[list[list[ScoreRequest]]]:
    for start in range(0, len(groups), MOST_IDS):
        yield groups[start : start + MOST_IDS]


def read_scores(prompt: ScorePrompt, output: Any) -> list[tuple[ScoreRequest, Score | Failure]]:
    """The answers in a `RequestOutput`; a missing value gives a Failure, never a zero."""
    return [(request, _read(request, output)) for request in prompt.requests]


def _read(request: ScoreRequest, output: Any) -> Score | Failure:
    before, last = request.continuation[:-1], request.continuation[-1]
    [generated] = output.outputs
    steps = generated.logprobs or []
    if len(steps) != 1 or last not in steps[0]:
        return Failure("vLLM gave no log-probability of the token after the prompt")
    values = [steps[0][last].logprob]
    greedy = list(generated.token_ids) == [last]
    if before:
        listed = output.prompt_logprobs or []
        rows = listed[len(request.context) :]
        if len(listed) != len(request.context) + len(before) or any(
            not row or token not in row for row, token in zip(rows, before, strict=True)
        ):
            return Failure("vLLM gave no log-probabilities of the prompt")
        values = [row[token].logprob for row, token in zip(rows, before, strict=True)] + values
        greedy = greedy and all(row[token].rank == 1 for row, token in zip(rows, before, strict=True))
    return Score(tuple(values), greedy)
