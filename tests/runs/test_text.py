"""Held-out texts from files to scores."""

import math

import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM

import evalsuite
from evalsuite.decisions.compare.attribution import attribute, token_bits
from evalsuite.decisions.compare.compare import compare
from evalsuite.decisions.compare.table import remark_lines
from evalsuite.decisions.gate.gate import gate
from evalsuite.decisions.gate.policy import Policy
from evalsuite.decisions.gate.table import gate_lines
from evalsuite.decisions.trend.trend import trend
from evalsuite.errors import UserError
from evalsuite.registry.registry import Registry
from evalsuite.report.page import render_report
from evalsuite.report.source import open_source
from evalsuite.results.samples import read_samples
from evalsuite.results.tables import remarks
from evalsuite.runs import answering, portions, session
from evalsuite.runs.rescore import rescore
from tests.runs.texts import PROSE, TEXTS, TOKENIZERS, tiny_model, write_texts


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
    return model, log, rows(folder / "out"), folder / "out"


def test_bits_per_byte_are_those_of_lm_eval_s_rolling_log_likelihood(scored):
    model, log, samples, _ = scored
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


def test_token_numbers_are_kept_for_every_byte_and_survive_rescoring(scored, tmp_path):
    _, log, samples, run = scored
    texts = [TEXTS[name] for name in sorted(TEXTS)]
    for row, text in zip(samples, texts, strict=True):
        assert sum(row["token_bytes"]) == len(text.encode())
        assert len(row["token_bytes"]) == len(row["token_log_probs"]) == sum(row["continuation_tokens"])
        assert math.fsum(row["token_log_probs"]) == pytest.approx(sum(row["log_likelihoods"]), rel=1e-12)
    out = tmp_path / "again"
    again, _ = rescore(run, out, Registry.load())
    assert again.tasks[0].metrics == log.tasks[0].metrics
    assert rows(out) == samples


def test_a_tokenizer_that_changes_the_text_is_named_in_a_remark(scored):
    model, log, *_ = scored
    altered = log.tasks[0].counts.altered
    # The code spells <s>, which is a special token to every one of them; NFKC changes more.
    assert altered == (2 if "unigram" in str(model) else 1)
    assert any("decode to another text" in line for line in remarks(log))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus")
    for domain in ("old", "new"):
        write_texts(folder / "texts" / domain, {f"{n}": f"{domain} {n} " + PROSE[7 * n :] for n in range(4)})
    for name in ("bytes", "unigram"):
        tiny_model(folder / name, TOKENIZERS[name](), seed=len(name))
    return folder


def run_on(corpus, model, out, *tasks, **options):
    options = {"text": [corpus / "texts"], "out": corpus / out, "device": "cpu"} | options
    return evalsuite.run(",".join(tasks or ["text"]), str(corpus / model), **options)


def test_domains_have_scores_of_their_own_and_both_means(corpus):
    log = run_on(corpus, "bytes", "one")
    metrics = log.tasks[0].metrics
    assert list(metrics) == [
        "bits_per_byte",
        "bits_per_byte_macro",
        "bits_per_byte_mean",
        "byte_perplexity",
        "bits_per_byte[new]",
        "bits_per_byte[old]",
    ]
    bits, sizes = {"new": 0.0, "old": 0.0}, {"new": 0, "old": 0}
    for row in rows(corpus / "one"):
        bits[row["subtask"][-3:]] -= sum(row["log_likelihoods"]) / math.log(2)
        sizes[row["subtask"][-3:]] += len(row["continuations"][0].encode())
    by_domain = {name: bits[name] / sizes[name] for name in bits}
    assert metrics["bits_per_byte"].value == pytest.approx(sum(bits.values()) / sum(sizes.values()))
    assert metrics["bits_per_byte_macro"].value == pytest.approx(sum(by_domain.values()) / 2)
    assert {name: metrics[f"bits_per_byte[{name}]"].value for name in bits} == pytest.approx(by_domain)
    assert log.tasks[0].subtasks["text_old"].metrics["bits_per_byte"] == pytest.approx(by_domain["old"])
    assert log.tasks[0].window == 48
    assert any("8 texts, as good as" in line for line in remarks(log))


def test_a_single_text_has_no_interval(corpus):
    [one, *_] = sorted((corpus / "texts").rglob("*.txt"))
    log = run_on(corpus, "bytes", "single", text=[one])
    assert log.tasks[0].metrics["bits_per_byte"].low is None
    assert any("there is no interval: the score is that of a single text" in line for line in remarks(log))


def test_models_with_different_tokenizers_are_compared_byte_by_byte(corpus):
    run_on(corpus, "bytes", "one")
    run_on(corpus, "unigram", "two")
    [pair] = compare(corpus / "one", corpus / "two").pairs
    task = pair.task("text")
    whole = task.metrics["bits_per_byte"]
    assert set(task.metrics) >= {"bits_per_byte[old]", "bits_per_byte_macro"}
    assert sum(text.bytes for text in task.texts) * whole.delta == pytest.approx(
        sum(text.difference for text in task.texts)
    )
    before, after = rows(corpus / "one"), rows(corpus / "two")
    for text, row, other in zip(task.texts, before, after, strict=True):
        tokens = [token_bits(each["token_log_probs"], each["token_bytes"]) for each in (row, other)]
        parts = attribute(row["continuations"][0], *tokens)
        assert math.fsum(part.difference for part in parts) == pytest.approx(text.difference, rel=1e-9)
    page = render_report(open_source([corpus / "one", corpus / "two"]))
    assert page.count('<details class="plot coloured"') == 8
    assert 'class="dearer-' in page or 'class="cheaper-' in page


def test_perplexities_are_compared_in_nats_which_the_remarks_say(corpus):
    runs = [run_on(corpus, model, out) for model, out in (("bytes", "one"), ("unigram", "two"))]
    [pair] = compare(corpus / "one", corpus / "two").pairs
    metric = pair.task("text").metrics["byte_perplexity"]
    values = [run.tasks[0].metrics["byte_perplexity"].value for run in runs]
    assert [metric.baseline, metric.candidate] == pytest.approx([math.log(value) for value in values])
    assert "text: byte_perplexity is in nats per byte here" in remark_lines(pair)[0]
    rule = {"tier": "critical", "margin": 9.0, "metric": "byte_perplexity", "discordance": 1.0}
    policy = Policy.model_validate({"pooled": None, "tasks": {"text": rule}})
    lines = gate_lines(gate(corpus / "one", corpus / "two", policy))
    assert any("byte_perplexity is in nats per byte here" in line for line in lines)


def test_runs_over_different_texts_are_not_compared(corpus, tmp_path):
    run_on(corpus, "bytes", "one")
    write_texts(tmp_path / "other", {"0": "new 0 " + PROSE, "x": "another text"})
    run_on(corpus, "bytes", "three", text=[tmp_path / "other"])
    with pytest.raises(UserError, match="text: the runs scored different texts: the baseline 8 of files"):
        compare(corpus / "one", corpus / "three")
    with pytest.raises(UserError, match=r"data .* differ between the runs"):
        trend(corpus / "one", corpus / "three")


def test_a_stride_gives_more_context_and_is_another_protocol(corpus):
    plain = run_on(corpus, "bytes", "one").tasks[0]
    strided = run_on(corpus, "bytes", "strided", stride=8).tasks[0]
    assert strided.requests > 4 * plain.requests
    assert strided.prompt_sha256 != plain.prompt_sha256
    assert any("Each window scores 8 tokens" in note for note in strided.notes)
    with pytest.raises(UserError, match="prompt specs of text differ"):
        compare(corpus / "one", corpus / "strided")


def test_a_corpus_is_answered_in_portions_and_continues_from_the_store(corpus, monkeypatch):
    whole = run_on(corpus, "bytes", "one")
    monkeypatch.setattr(portions, "CHARACTERS", 2000)
    calls = []
    scoring = answering.answer

    def counted(scores, *rest):
        calls.append(len(scores))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return scoring(scores, *rest)

    monkeypatch.setattr(session, "answer", counted)
    with pytest.raises(KeyboardInterrupt):
        run_on(corpus, "bytes", "portions")
    monkeypatch.setattr(session, "answer", scoring)
    log = run_on(corpus, "bytes", "portions")
    values, expected = (
        {name: one.value for name, one in each.tasks[0].metrics.items()} for each in (log, whole)
    )
    assert values == pytest.approx(expected, rel=1e-6)
    assert log.tasks[0].requests == whole.tasks[0].requests
    assert 0 < log.tasks[0].tokens < whole.tasks[0].tokens


@pytest.mark.parametrize(
    ("task", "options", "words"),
    [
        ("text", {"text": []}, "scores your own texts"),
        ("text", {"text": ["nowhere"]}, "--text nowhere: no such file or folder"),
        ("lambada_openai", {}, "--text names texts for task 'text'"),
        ("lambada_openai", {"text": [], "stride": 5}, "--stride is for held-out texts"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(corpus, tmp_path, task, options, words):
    with pytest.raises(UserError, match=words):
        run_on(corpus, "bytes", tmp_path / "out", task, **options)


def test_a_text_without_a_token_fails_and_is_counted(corpus, tmp_path):
    write_texts(tmp_path / "texts", {"a": "a text", "b": "\ufe0f\u200b"})
    (tmp_path / "texts" / "c.jsonl").write_text('{"text": "half \\ud83d of a character"}\n')
    log = run_on(corpus, "bytes", tmp_path / "out", text=[tmp_path / "texts"], allow_failures=True)
    assert (log.tasks[0].counts.failed, log.tasks[0].counts.scored) == (1, 2)
    assert "lone surrogate" in log.tasks[0].problem


def test_windows_of_other_lengths_are_listed_as_a_difference(corpus):
    run_on(corpus, "bytes", "one")
    run_on(corpus, "bytes", "short", max_length=24)
    [pair] = compare(corpus / "one", corpus / "short").pairs
    [window] = [one.text for one in pair.differences if one.kind == "window"]
    assert window.endswith("baseline has 48; candidate has 24.")


def test_a_gate_judges_a_domain_by_name(corpus):
    run_on(corpus, "bytes", "one")
    run_on(corpus, "unigram", "two")
    rule = {"tier": "critical", "margin": 9.0, "metric": "bits_per_byte[old]", "discordance": 1.0}
    policy = Policy.model_validate({"pooled": None, "tasks": {"text": rule}})
    [verdict] = gate(corpus / "one", corpus / "two", policy).tasks
    assert (verdict.outcome, verdict.metric, verdict.documents) == ("PASS", "bits_per_byte[old]", 4)
