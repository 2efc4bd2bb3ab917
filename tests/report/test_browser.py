"""The report in a real browser: what a reader sees and does."""

from dataclasses import replace
from pathlib import Path

import pytest

from evalsuite.report import report
from evalsuite.types import Prompt
from tests.report.made import quiz, sums, write

NASTY = (
    "</script><script>document.title = 'run'</script><img src=x onerror=\"document.title = 'run'\">",
    "<!--<script>",
    "tab\there  two spaces\nnon\u00a0breaking\u200bzero {{ 7 * 7 }} {% raw %}",
)
TEXT = "#detail .text"


@pytest.fixture(scope="module")
def shots(tmp_path_factory) -> Path:
    """Where screenshots are kept to be looked at: below pytest's --basetemp."""
    return tmp_path_factory.mktemp("screenshots")


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> Path:
    """Two runs with changed documents, a failure and texts that try to be markup."""
    folder = tmp_path_factory.mktemp("two")
    before = write(folder / "before", {"quiz": quiz(300, 6), "sums": sums(40, texts=NASTY)})
    after = write(
        folder / "after",
        {"quiz": quiz(300, 6, seed=1), "sums": sums(40, texts=NASTY, failed=(7,))},
        status="incomplete",
    )
    return report(before, after, html=folder / "two.html")[0]


def test_a_page_opens_without_complaint_or_network(page, two, shots):
    page.open(two)
    assert page.complaints() == []
    assert page.js("return performance.getEntriesByType('resource').length") == 0
    assert page.found == "340 of 340 samples"
    page.driver.save_screenshot(str(shots / "light.png"))


def test_texts_that_look_like_markup_are_shown_and_never_run(page, two):
    page.open(two)
    page.select("task", "sums")
    for place, text in enumerate(NASTY):
        assert page.text(TEXT) == text, place
        page.press("j")
    assert page.js("return document.title").endswith("evalsuite report")
    assert page.count("#detail script, #detail img") == 0
    assert page.complaints() == []


def test_white_space_is_made_visible_and_the_text_stays_the_same(page, two):
    page.open(two)
    page.select("task", "sums")
    page.press("j", "j")
    assert page.count(f"{TEXT} span") == 0
    page.press("w")
    for name, count in {"tab": 1, "line": 1, "code": 2}.items():
        assert page.count(f"{TEXT} .{name}") == 2 * count, name  # both runs wrote it
    assert page.count(f"{TEXT} .space") > 5
    assert page.text(TEXT) == NASTY[2]
    assert page.js(
        "return [...document.querySelector('.text').querySelectorAll('.code')].map((e) => e.dataset.code)"
    ) == [
        "U+00A0",
        "U+200B",
    ]


def test_filters_narrow_the_list_by_task_member_run_and_verdict(page, two):
    page.open(two)
    page.select("task", "quiz")
    assert page.found == "300 of 340 samples"
    page.select("subtask", "quiz_subject_2")
    assert page.found == "50 of 340 samples"
    page.click("#clear")
    page.select("run", "after")
    page.select("verdict", "failed")
    assert page.found == "1 of 340 samples"
    assert "the engine died" in page.text("#detail")
    page.click("#clear")
    counts = []
    for verdict in ("right", "wrong"):
        page.select("verdict", verdict)
        counts.append(int(page.found.split()[0]))
    assert sum(counts) == 340


def test_the_changes_of_the_comparison_lead_to_their_samples(page, two):
    page.open(two)
    button = 'button[data-task="quiz"][data-verdict="lost"]'
    lost = page.text(button).split()[0]
    page.click(button)
    assert page.found == f"{lost} of 340 samples"
    assert page.js("return document.getElementById('run').selectedOptions[0].text") == "after"
    assert page.count("#detail .badge.lost") == 1
    assert page.js(
        "return [...document.querySelectorAll('#detail h4 .badge')].map((e) => e.textContent)"
    ) == [
        "✓ right",
        "✗ wrong",
        "lost",
    ]


def test_the_search_finds_numbers_answers_and_questions(page, two):
    from selenium.webdriver.common.keys import Keys

    page.open(two)
    for words, found in {"#17": 2, "it is 12.": 2, "QUIZ_SUBJECT_1": 50, "nothing has this": 0}.items():
        page.press("/")
        page.press(words, Keys.ENTER)
        assert page.found == f"{found} of 340 samples", words
        assert page.js("return document.activeElement.id") == "list"
    assert "No sample matches" in page.text("#detail")


def test_the_keyboard_walks_the_list(page, two):
    from selenium.webdriver.common.keys import Keys

    page.open(two)
    page.press("j", "j", "k")
    assert page.chosen == "quiz_subject_1 #1"
    page.js("document.getElementById('list').focus()")
    page.press(Keys.ARROW_DOWN, Keys.PAGE_DOWN)
    assert page.chosen.endswith("#12")
    page.press(Keys.END)
    assert page.chosen == "sums #39"
    active = page.js("return document.getElementById('list').getAttribute('aria-activedescendant')")
    assert page.count(f"#{active}[aria-posinset='340'][aria-setsize='340']") == 1
    page.press(Keys.HOME)
    assert page.chosen == "quiz_subject_0 #0"
    page.press(Keys.ENTER)
    assert page.js("return document.activeElement.id") == "detail"
    page.press("?")
    assert page.js("return document.getElementById('help').open") is True
    page.press(Keys.ESCAPE)
    assert page.js("return document.getElementById('help').open") is False


def test_the_whole_prompt_is_there_shots_folded(page, two):
    page.open(two)
    whole = quiz(300, 6)[0].prompt.contexts[0]
    own = page.text("#detail .own")
    assert page.text("#detail .shots pre") + own == whole
    assert own.startswith(quiz(1, 6)[0].document.question.stem)
    page.press("s")
    assert page.js("return document.querySelector('#detail .shots').open") is True


def test_another_prompt_of_the_other_run_is_shown_beside_its_answers(page, tmp_path):
    first, second = sums(3), [replace(one, prompt=Prompt(("another prompt",))) for one in sums(3)]
    runs = [write(tmp_path / "1", {"sums": first}), write(tmp_path / "2", {"sums": second})]
    page.open(report(*runs, html=tmp_path / "page.html")[0])
    assert page.js("return [...document.querySelectorAll('#detail .own')].map((e) => e.textContent)") == [
        "Q: 0 + 0?\nA:",
        "another prompt",
    ]
    assert "asked with another prompt" in page.text("#detail")


def test_of_four_runs_each_is_compared_with_the_first_and_can_be_filtered_by(page, tmp_path, shots):
    steps = {f"step-{seed}": {"quiz": quiz(120, 3, seed=seed), "sums": sums(8)} for seed in range(1, 4)}
    steps["step-4"] = {"quiz": quiz(120, 3, seed=4)}
    runs = [write(tmp_path / name, tasks) for name, tasks in steps.items()]
    page.open(report(*runs, html=tmp_path / "page.html")[0])
    page.driver.save_screenshot(str(shots / "four.png"))
    titles = page.js("return [...document.querySelectorAll('h3')].map((e) => e.textContent)")
    assert [one for one in titles if " against " in one] == [f"step-{n} against step-1" for n in (2, 3, 4)]
    for name in steps:
        page.select("run", name)
        right = sum(sample.metrics["acc"] for sample in steps[name]["quiz"])
        page.select("task", "quiz")
        page.select("verdict", "right")
        assert page.found == f"{right:.0f} of 128 samples", name
    page.select("verdict", "not in this run")
    page.select("task", "all tasks")
    assert page.found == "8 of 128 samples"
    assert page.complaints() == []


def test_the_right_choice_is_marked_with_probabilities_that_sum_to_one(page, two):
    page.open(two)
    sample = quiz(300, 6)[0]
    rows = page.js(
        "return [...document.querySelectorAll('#detail .choices')][0].tBodies[0].rows.length && "
        "[...document.querySelector('#detail .choices').tBodies[0].rows].map((r) => [...r.cells].map((c) => "
        "c.textContent))"
    )
    assert [row[0] for row in rows] == [" A", " B", " C", " D"]
    assert [float(row[1]) for row in rows] == pytest.approx(
        [one.log_likelihood for one in sample.responses], abs=1e-4
    )
    assert sum(float(row[2].rstrip(" %")) for row in rows) == pytest.approx(100, abs=0.3)
    assert "right answer" in rows[int(sample.gold)][4]
    assert "chosen" in rows[int(sample.prediction)][4]


def test_dark_follows_the_system_and_the_button(page, two, shots):
    def background() -> int:
        colour = page.js("return getComputedStyle(document.body).backgroundColor")
        return int(colour.removeprefix("rgb(").split(",")[0])

    page.open(two)
    assert background() > 200
    page.scheme("dark")
    assert background() < 60
    page.driver.save_screenshot(str(shots / "dark.png"))
    page.click("#theme")
    assert background() > 200
    page.press("t")
    assert background() < 60
    page.js("localStorage.clear()")


def test_nothing_is_wider_than_a_phone(page, two, shots):
    page.size(390, 844)
    page.open(two)
    assert page.js("return document.documentElement.scrollWidth") <= 390
    page.js("document.getElementById('samples').scrollIntoView()")
    page.driver.save_screenshot(str(shots / "phone.png"))


def test_every_control_has_a_name(page, two):
    page.open(two)
    unnamed = page.js("""return [...document.querySelectorAll('button, select, input, [role]')].filter((e) =>
        !(e.computedName ?? (e.textContent.trim() || e.ariaLabel || e.labels?.length || e.placeholder)))
        .map((e) => e.outerHTML)""")
    assert unnamed == []


@pytest.mark.slow
def test_thirty_thousand_samples_open_and_filter_quickly(page, tmp_path, shots):
    run = write(tmp_path / "large", {"quiz": quiz(30_000)})
    [path] = report(run, html=tmp_path / "large.html")
    assert path.stat().st_size < 15e6
    assert page.open(path) < 15
    assert page.found == "30,000 of 30,000 samples"
    assert page.count("#rows > div") < 60
    took = page.js("""
        const begun = performance.now(), verdict = document.getElementById('verdict');
        verdict.value = 'wrong'; verdict.dispatchEvent(new Event('change'));
        const filtered = performance.now(), list = document.getElementById('list');
        document.getElementById('query').value = 'zero nobody wrote this';
        verdict.value = ''; verdict.dispatchEvent(new Event('change'));
        return [filtered - begun, performance.now() - filtered];
    """)
    assert page.found == "0 of 30,000 samples"
    assert took[0] < 500
    assert took[1] < 3000
    page.click("#clear")
    page.js("document.getElementById('list').scrollTop = 20000 * 52")
    page.wait(lambda: page.count('[aria-posinset="20001"]') == 1)
    page.js("document.getElementById('samples').scrollIntoView()")
    page.driver.save_screenshot(str(shots / "large.png"))
    assert page.complaints() == []
