"""Scores documents that were answered with log-likelihoods."""

from dataclasses import replace

from evalsuite.prompting.spec import PromptSpec
from evalsuite.scoring.choice import bits_per_byte, chosen_answer
from evalsuite.types import ClozePair, MultipleChoice, Sample, Score


def choice_sample(sample: Sample, spec: PromptSpec) -> Sample:
    """The sample with the likeliest choice and the spec's metrics."""
    question = sample.document.question
    assert isinstance(question, MultipleChoice | ClozePair)
    scores = [score for score in sample.responses if isinstance(score, Score)]
    count = len(scores) // (1 if spec.unconditional is None else 2)
    texts = [_measured(text, spec) for text in sample.prompt.continuations[:count]]
    verdict = chosen_answer(question, texts, scores[:count], scores[count:])
    metrics = {metric: verdict.metrics[metric] for metric in spec.metrics}
    headline = spec.metrics[0]
    return replace(
        sample,
        prediction=str(verdict.prediction(headline)),
        metrics=metrics,
        margin=verdict.margin(headline),
    )


def gold_sample(sample: Sample, spec: PromptSpec) -> Sample:
    """The sample with metrics of its accepted answers.

    `acc`: greedy decoding would give one of them, token by token (lm-eval's LAMBADA and WebQS).
    `bits_per_byte`: of the first answer. `perplexity`: the first answer's negative log-likelihood in nats,
    which becomes a perplexity when it is averaged over documents.
    """
    scores = [score for score in sample.responses if isinstance(score, Score)]
    greedy = [index for index, score in enumerate(scores) if score.is_greedy]
    values = {
        "acc": float(bool(greedy)),
        "perplexity": -scores[0].log_likelihood,
        "bits_per_byte": bits_per_byte(_measured(sample.prompt.continuations[0], spec), scores[0]),
    }
    prediction = str(greedy[0]) if greedy else None
    return replace(sample, prediction=prediction, metrics={name: values[name] for name in spec.metrics})


def _measured(continuation: str, spec: PromptSpec) -> str:
    """The text whose length normalizes the metrics."""
    return continuation if spec.lengths == "continuation" else continuation.removeprefix(spec.delimiter)
