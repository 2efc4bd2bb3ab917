"""Exact match and F1 of free answers are lm-eval's, in every language."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.scoring.squad import squad_exact_match, squad_f1

LANGUAGES = ("ar", "bn", "en", "fi", "id", "ko", "ru", "sw", "te")


@pytest.mark.parametrize(
    ("answer", "gold", "language", "exact", "f1"),
    [
        ("The cat.", ["cat"], "en", 1.0, 1.0),
        ("the cat", ["cat"], "fi", 0.0, 2 / 3),
        ("a big cat", ["cat", "big cat"], "en", 1.0, 1.0),
        ("cat cat", ["cat"], "en", 0.0, 2 / 3),
        ("$5!", ["5"], "en", 1.0, 1.0),
        ("dog", ["cat"], "en", 0.0, 0.0),
        ("", ["..."], "ko", 1.0, 0.0),
        ("«Москва»", ["москва"], "ru", 1.0, 1.0),
        ("كبير البيت", ["كبير بيت"], "ar", 1.0, 1.0),
    ],
)
def test_words_decide(answer, gold, language, exact, f1):
    assert squad_exact_match(answer, gold, language) == exact
    assert squad_f1(answer, gold, language) == pytest.approx(f1)


pieces = st.lists(
    st.sampled_from(
        [
            "the ",
            "a",
            " an ",
            "cat",
            "Cat",
            " ",
            ".",
            "$",
            "-",
            "«",
            "。",
            "ال",
            " البيت",
            "5",
            "é",
            "\n",
            "’",
        ]
    )
    | st.text(max_size=3),
    max_size=8,
).map("".join)


@settings(deadline=None, max_examples=300)
@given(pieces, st.lists(pieces, min_size=1, max_size=3), st.sampled_from(LANGUAGES))
def test_every_verdict_is_lm_evals(answer, gold, language):
    from lm_eval.tasks.tydiqa import utils

    wanted = utils.process_results_lang({"answers": gold}, [answer], language)
    assert squad_exact_match(answer.strip(), gold, language) == float(wanted["exact_match"])
    assert squad_f1(answer.strip(), gold, language) == pytest.approx(wanted["f1"], abs=1e-12)
