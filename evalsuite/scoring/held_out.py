"""Scores whole texts by the log-likelihood of all their tokens."""

import math
import re
from array import array
from dataclasses import replace

from evalsuite.prompting.spec import PromptSpec
from evalsuite.stats.metrics import of_domain
from evalsuite.types import HeldOutText, Sample, Score


def held_out_sample(sample: Sample, spec: PromptSpec) -> Sample:
    """The sample with metrics of its text, each the document's own value with its weight in the score.

    `bits_per_byte`: weighted by bytes, so that the score is the bits of all texts over their bytes.
    `bits_per_byte_macro`: the unweighted mean of the domains' `bits_per_byte`; only with domains.
    `bits_per_byte_mean`: the unweighted mean over documents. `byte_perplexity`, `word_perplexity`: in nats
    per byte and word, which become perplexities when they are averaged (lm-eval 0.4.13, `api/metrics.py`,
    `weighted_perplexity`; words are what white space separates).
    """
    question = sample.document.question
    assert isinstance(question, HeldOutText)
    text = question.text if spec.lengths == "original" else sample.prompt.continuations[0]
    scores = [answer for answer in sample.responses if isinstance(answer, Score)]
    nats = -math.fsum(score.log_likelihood for score in scores)
    sizes = {"byte": float(len(text.encode())), "word": float(len(re.split(r"\s+", text)))}
    per_byte = nats / math.log(2) / sizes["byte"]
    member = sample.document.member
    values: dict[str, tuple[float, float]] = {
        "bits_per_byte": (per_byte, sizes["byte"]),
        "bits_per_byte_mean": (per_byte, 1.0),
        **{f"{unit}_perplexity": (nats / size, size) for unit, size in sizes.items()},
    }
    if member:
        values["bits_per_byte_macro"] = (per_byte, sizes["byte"])
    chosen = {name: values[name] for name in spec.metrics if name in values}
    if member and "bits_per_byte_macro" in chosen:
        chosen[of_domain("bits_per_byte", member)] = (per_byte, sizes["byte"])
    return replace(
        sample,
        metrics={name: value for name, (value, _) in chosen.items()},
        weights={name: weight for name, (_, weight) in chosen.items()},
        # The totals suffice beside the tokens' own numbers, which take four times less memory in arrays.
        responses=tuple(Score((score.log_likelihood,), score.is_greedy) for score in scores),
        token_log_probs=array("d", (value for score in scores for value in score.log_probs)),
        token_bytes=array("l", sample.token_bytes),
    )
