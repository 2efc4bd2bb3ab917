"""`--tokenizer`, `--bos`, `--prefix-token` and `--max-length` as `evalsuite run` takes them."""

import json
from pathlib import Path

import pyarrow.parquet as parquet
import pytest

from tests.cli.tiny_run import sentence
from tests.engine.tiny import BOS, EOS, byte_tokenizer, log_probs_alone, tiny_llama, with_special
from tests.runs.bench import PLUGIN, Bench, read_json

CONTEXT, CHOICES = "Q: 1 + 1?\nA:", (" 2", " 3 or so", " 1")
"""The first document of `quiz`."""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A tokenizer like the model's, but for the spelling of `~`."""
    made = tmp_path / "another"
    tokenizer = byte_tokenizer()
    with_special(tokenizer, tokenizer.convert_tokens_to_ids("~"), "<turn>").save_pretrained(made)
    return made


@pytest.fixture
def without_bos(folder) -> Path:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(read_json(path) | {"bos_token": None}))
    return folder


def record(run, bench, **options) -> dict:
    """The run log of one document of `quiz`, which must have a score."""
    done = run("quiz", limit=1, **options)
    assert (done.code, "Traceback" in done.err) == (0, False), done
    return read_json(bench.out / "run.json")


def scores(bench) -> list[float]:
    [path] = (bench.out / "samples").glob("*quiz*.parquet")
    table = parquet.read_table(path)
    return table.column("log_likelihoods").to_pylist()[0]


def alone(context: tuple[int, ...]) -> list[float]:
    """The choices' log-likelihoods behind these ids, each by a pass of its own."""
    ids = byte_tokenizer()(list(CHOICES), add_special_tokens=False)["input_ids"]
    return [sum(log_probs_alone(tiny_llama(), context, tuple(choice))) for choice in ids]


def context_ids() -> tuple[int, ...]:
    return tuple(byte_tokenizer().encode(CONTEXT, add_special_tokens=False))


def test_another_tokenizer_is_used_and_in_the_identity(run, bench, folder, tmp_path):
    own = record(run, bench, out=bench.out)
    bench.out.rename(tmp_path / "own")
    other = record(run, bench, tokenizer=folder)
    assert other["spec"]["tokenizer"] == str(folder)
    assert other["model"]["tokenizer_sha256"] != own["model"]["tokenizer_sha256"]
    assert other["model"]["weights_sha256"] == own["model"]["weights_sha256"]


def test_a_tokenizer_that_is_nowhere_is_one_sentence(run, bench):
    for name in ("./nowhere", "nowhere"):
        assert sentence(run("quiz", tokenizer=name)).startswith(f"evalsuite: --tokenizer {name}: ")
    assert not bench.out.exists()


@pytest.mark.parametrize(("bos", "before"), [("never", ()), ("always", (BOS,)), ("tokenizer", ())])
def test_bos_stands_where_the_user_wants_it(run, bench, bos, before):
    log = record(run, bench, bos=bos)
    assert scores(bench) == pytest.approx(alone((*before, *context_ids())), abs=1e-4)
    said = any(f"Run with --bos {bos}" in note for note in log["tasks"][0]["notes"])
    assert said == (bos != "never")  # which is the recipe's own


def test_bos_always_without_a_bos_token_is_one_sentence(run, bench, without_bos):
    said = sentence(run("quiz", bos="always", tokenizer=without_bos))
    assert said.startswith("evalsuite: --bos always: the tokenizer has no BOS token;")
    assert not bench.out.exists()
    assert "--bos always" in sentence(run("quiz", bos="always", tokenizer=without_bos, plan_only=True))


def test_show_and_requests_say_it_too(cli, bench, without_bos, tmp_path):
    given = ("--data", bench.data, "--include", bench.plugin, "--tokenizer", without_bos, "--bos", "always")
    assert "--bos always" in sentence(cli("show", "tiny/quiz", *given))
    assert "--bos always" in sentence(
        cli("requests", "--tasks", "tiny/quiz", "--out", tmp_path / "q", *given)
    )


def test_a_word_that_bos_does_not_take_is_one_sentence(run):
    assert "Unknown value of --bos 'allways'. Did you mean always" in sentence(run("quiz", bos="allways"))


def without_contexts(folder: Path) -> Bench:
    question = 'question="Q: {{ stem }}\\nA:"'
    assert question in PLUGIN
    return Bench.make(folder, documents=2, plugin=PLUGIN.replace(question, 'question=""'))


@pytest.mark.parametrize(("named", "token"), [(None, BOS), ("</s>", EOS), ("40", 40), ("A", None)])
def test_the_prefix_token_stands_before_a_text_without_a_context(run, tmp_path, named, token):
    bench = without_contexts(tmp_path / "empty")
    if token is None:
        token = byte_tokenizer().convert_tokens_to_ids(named)
    record(run, bench, prefix_token=named, data=bench.data, include=bench.plugin, out=bench.out)
    assert scores(bench) == pytest.approx(alone((token,)), abs=1e-4)


@pytest.mark.parametrize("named", ["<nothing>", "260", "-1"])
def test_a_prefix_token_that_is_none_is_one_sentence_even_where_none_is_needed(run, named):
    assert f"--prefix-token {named}: the tokenizer of" in sentence(run("quiz", prefix_token=named))


def test_a_shorter_window_leaves_out_what_does_not_fit(run, bench):
    done = run("quiz", max_length=16)
    assert done.code == 1
    assert "the context window has 16" in " ".join(done.out.split())


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (129, "--max-length 129: the model's context window has 128 tokens"),
        (0, "--max-length"),
        ("x", "--max-length"),
    ],
)
def test_a_window_that_cannot_be_is_refused(run, bench, length, said):
    done = run("quiz", max_length=length)
    assert done.code == 2
    assert said in done.err
    assert not bench.out.exists()
