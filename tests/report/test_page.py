"""The page without a browser: escaped, self-contained, the same every time."""

import re

import pytest

from evalsuite.errors import UserError
from evalsuite.report import report
from tests.fabricate import Made
from tests.fabricate import fabricate as fabricate_run
from tests.report.made import quiz, sums, write


@pytest.fixture
def run(tmp_path):
    return write(tmp_path / "run", {"quiz": quiz(60, 3), "sums": sums(6)})


def page_of(*runs, **options):
    [path] = report(*runs, **options)
    return path.read_text("utf-8")


def test_without_a_file_the_page_stands_in_the_run(run):
    assert report(run) == [run / "report.html"]


def test_equal_runs_give_equal_pages(run, tmp_path):
    assert page_of(run, html=tmp_path / "1.html") == page_of(run, html=tmp_path / "2.html")


def test_nothing_is_fetched_and_no_other_script_may_run(run):
    page = page_of(run)
    assert not re.findall(r"(?:src|href)=[\"'](?!#|data:,)", page)
    assert "http" not in re.sub(r'http-equiv|id="payload">[^<]*', "", page).replace("https://", "http")
    assert re.search(r"default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+'", page)
    assert page.count("<script") == 2


def test_names_and_notes_are_escaped(run, tmp_path):
    evil = "<img src=x onerror=alert(1)>&\"'"
    from evalsuite.results.runlog import read_run

    log = read_run(run)
    task = log.tasks[0].model_copy(update={"notes": (evil,), "source": {"status": "ours", "notes": evil}})
    log = log.model_copy(
        update={
            "spec": log.spec.model_copy(update={"model": evil}),
            "notes": (evil,),
            "environment": {evil: evil},
            "tasks": (task, *log.tasks[1:]),
        }
    )
    (run / "run.json").write_text(log.model_dump_json(), "utf-8")
    page = page_of(run)
    assert "<img" not in page
    assert page.count("&lt;img src=x onerror=alert(1)&gt;&amp;&#34;&#39;") >= 6


def test_samples_reach_the_page_packed_alone(tmp_path):
    page = page_of(write(tmp_path / "run", {"sums": sums(1, texts=["</script><b>never here</b>"])}))
    assert "never here" not in page


def test_scores_intervals_and_counts_are_shown(tmp_path):
    page = page_of(write(tmp_path / "run", {"quiz": quiz(60, 3), "sums": sums(6, failed=(1,))}))
    for text in (
        "5 of 6",
        "documents have no verdict; no score",
        "95 % interval",
        "3 member tasks",
        "ECE",
    ):
        assert text in page
    assert re.search(r'aria-label="[\d.]+, 95 % interval [\d.]+ to [\d.]+, chance 25.0"', page)


def test_a_metric_that_counts_loss_has_no_bar_from_0_to_100(tmp_path):
    page = page_of(
        fabricate_run(tmp_path / "run", {"text": Made([0.91, 0.87, 1.25], metric="bits_per_byte")})
    )
    assert "1.0100" in page
    assert "<svg" not in page


def test_samples_without_answers_still_make_a_page(tmp_path):
    assert "quiz" in page_of(fabricate_run(tmp_path / "run", {"quiz": [1.0, 0.0]}))


def test_comparison_uses_the_numbers_of_compare(tmp_path):
    from evalsuite import compare

    runs = [write(tmp_path / f"{seed}", {"quiz": quiz(200, 3, seed=seed)}) for seed in (1, 2)]
    one = compare(*runs).pairs[0].task("quiz").metrics["acc"]
    page = page_of(*runs, html=tmp_path / "page.html")
    assert f"{100 * one.delta:+.2f}" in page
    assert f"{100 * one.low:+.2f} to {100 * one.high:+.2f}" in page
    assert f">{one.lost} lost</button>" in page


def test_runs_of_other_prompts_need_a_word_of_consent(tmp_path):
    runs = [
        fabricate_run(tmp_path / name, {"quiz": Made([1.0, 0.0], record={"prompt_sha256": name * 64})})
        for name in ("a", "b")
    ]
    with pytest.raises(UserError, match="allow-protocol-drift"):
        report(*runs, html=tmp_path / "page.html")
    assert "prompt spec" in page_of(*runs, html=tmp_path / "page.html", allow_protocol_drift=True)


def test_a_card_stands_in_the_page_with_reasons(tmp_path):
    run = write(tmp_path / "run", {"mmlu": quiz(10)})
    page = page_of(run, card="nemotron-h-56b")
    assert 'id="card"' in page
    assert "not comparable" in page
    assert "94.97" in page


def test_the_same_file_for_two_kinds_is_refused(run, tmp_path):
    with pytest.raises(UserError, match="must be different files"):
        report(run, html=tmp_path / "x", csv=tmp_path / "x")
    assert not (tmp_path / "x").exists()
