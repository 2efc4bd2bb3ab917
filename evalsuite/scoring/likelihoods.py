"""Verdicts on documents that were answered with log-likelihoods."""

import math
from dataclasses import replace

from evalsuite.prompting.spec import PromptSpec
from evalsuite.scoring.choice import choose
from evalsuite.types import ClozePair, MultipleChoice, Sample, Score


def choice_sample(sample: Sample, spec: PromptSpec) -> Sample:
    """Which choice is the likeliest, by the spec's metrics."""
    question = sample.document.question
    assert isinstance(question, MultipleChoice | ClozePair)
    texts = [text.removeprefix(spec.delimiter) for text in sample.prompt.continuations]
    verdict = choose(question, texts, [one for one in sample.responses if isinstance(one, Score)])
    headline = spec.metrics[0]
    prediction = verdict.prediction_norm if headline == "acc_norm" else verdict.prediction
    metrics = {metric: verdict.metrics[metric] for metric in spec.metrics}
    return replace(sample, prediction=str(prediction), metrics=metrics)


def gold_sample(sample: Sample, spec: PromptSpec) -> Sample:
    """How likely the accepted answers are.

    `acc`: one of them is what the model would have generated, token by token (lm-eval's LAMBADA and WebQS).
    `bits_per_byte`: of the first one. `perplexity`: its negative log-likelihood in nats, which becomes a
    perplexity when it is averaged over documents.
    """
    scores = [one for one in sample.responses if isinstance(one, Score)]
    greedy = [place for place, score in enumerate(scores) if score.is_greedy]
    loss = -scores[0].log_likelihood
    written = len(sample.prompt.continuations[0].removeprefix(spec.delimiter).encode())
    values = {
        "acc": float(bool(greedy)),
        "perplexity": loss,
        "bits_per_byte": loss / math.log(2) / max(written, 1),
    }
    prediction = str(greedy[0]) if greedy else None
    return replace(sample, prediction=prediction, metrics={name: values[name] for name in spec.metrics})
