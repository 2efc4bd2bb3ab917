"""Held-out texts from files to scores."""

import math

import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

import evalsuite
from evalsuite.results.samples import read_samples
from tests.runs.texts import TEXTS, TOKENIZERS, tiny_model, write_texts


def rows(folder, task="text"):
    return read_samples(folder / "samples" / f"{task}.parquet")


def lm_eval_bits(model, texts, **options):
    """Bits of each text by lm-eval's own rolling log-likelihood."""
    theirs = HFLM(str(model), device="cpu", dtype="float32", batch_size=1, **options)
    requests = [
        Instance("loglikelihood_rolling", {}, (text,), index, ("", index, 1))
        for index, text in enumerate(texts)
    ]
    return [-nats / math.log(2) for nats in theirs.loglikelihood_rolling(requests, disable_tqdm=True)]


@pytest.fixture(scope="module", params=TOKENIZERS)
def scored(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    model = tiny_model(folder / "model", TOKENIZERS[request.param]())
    files = write_texts(folder / "texts")
    log = evalsuite.run("text", str(model), text=[files], out=folder / "out", device="cpu")
    return model, log, rows(folder / "out")


def test_bits_per_byte_are_those_of_lm_eval_s_rolling_log_likelihood(scored):
    model, log, samples = scored
    texts = [TEXTS[name] for name in sorted(TEXTS)]
    bits = lm_eval_bits(model, texts, add_bos_token=False)
    sizes = [len(text.encode()) for text in texts]
    for row, theirs, size in zip(samples, bits, sizes, strict=True):
        [value] = [each["value"] for each in row["metrics"] if each["metric"] == "bits_per_byte"]
        assert value == pytest.approx(theirs / size, abs=1e-6)
        assert len(row["continuation_tokens"]) > 2, "several windows"
    metrics = log.tasks[0].metrics
    assert metrics["bits_per_byte"].value == pytest.approx(sum(bits) / sum(sizes), abs=1e-6)
    mean = sum(one / size for one, size in zip(bits, sizes, strict=True)) / len(bits)
    assert metrics["bits_per_byte_mean"].value == pytest.approx(mean, abs=1e-6)
    perplexity = math.exp(sum(bits) * math.log(2) / sum(sizes))
    assert metrics["byte_perplexity"].value == pytest.approx(perplexity, rel=1e-6)
