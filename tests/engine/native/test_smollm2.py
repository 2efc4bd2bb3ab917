"""The engine on a real model, checked against plain passes of the same model."""

import pytest

from evalsuite.engine.protocol import answers_in
from evalsuite.requests.encode import encode_contexts, encode_pairs
from evalsuite.types import GenerateRequest
from tests.engine.tiny import greedy_alone, log_probs_alone

PAIRS = [
    ("The capital of France is", " Paris"),
    ("The capital of France is", " Rome"),
    ("The capital of France is", " a very big city"),
    ("Question: What is 2 + 2?\nAnswer:", " 4"),
    ("The cat", " sat on"),
    ("The cat sat", " down"),
    ("", "Hello"),
]
PROMPTS = [
    "The capital of France is",
    "1, 2, 3, 4,",
    "Once upon a time there was a small",
    "Q: What is water?\nA:",
]


def answers_of(blocks):
    return dict(answers_in(blocks))


def test_log_likelihoods_are_those_of_plain_passes(smollm2):
    requests = [one.request for one in encode_pairs(smollm2.tokenizer, PAIRS, "never")]
    for request, score in answers_of(smollm2.score(requests)).items():
        expected = log_probs_alone(smollm2.model.loaded.model, request.context, request.continuation)
        assert score.log_probs == pytest.approx(expected, abs=1e-4)


def test_paris_is_the_capital_of_france(smollm2):
    paris, rome = (one.request for one in encode_pairs(smollm2.tokenizer, PAIRS[:2], "never"))
    answers = answers_of(smollm2.score([paris, rome]))
    assert answers[paris].is_greedy
    assert answers[paris].log_likelihood > answers[rome].log_likelihood + 2


def test_greedy_texts_are_the_same_in_a_batch_and_alone(smollm2):
    contexts = encode_contexts(smollm2.tokenizer, PROMPTS, "never")
    requests = [GenerateRequest(context, ("\n\n", " 9"), 16) for context in contexts]
    together = answers_of(smollm2.generate(requests))
    for request in requests:
        assert answers_of(smollm2.generate([request])) == {request: together[request]}
    plain = smollm2.tokenizer.decode(greedy_alone(smollm2.model.loaded.model, contexts[2], 16))
    assert together[requests[2]].text == plain.partition("\n\n")[0]
    assert together[requests[1]].text == " 5, 6, 7, 8,"


def test_samples_are_reproducible_and_differ(smollm2):
    (context,) = encode_contexts(smollm2.tokenizer, PROMPTS[2:3], "never")
    requests = [GenerateRequest(context, (), 8, 0.8, 0.95, seed=3, sample=sample) for sample in range(4)]
    answers = answers_of(smollm2.generate(requests))
    assert len({answer.text for answer in answers.values()}) > 1
    assert answers_of(smollm2.generate(requests[2:3]))[requests[2]] == answers[requests[2]]
