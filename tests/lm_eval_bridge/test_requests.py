"""lm-eval's requests as ours: windows, generation arguments, and what cannot be asked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.errors import UserError
from evalsuite.lm_eval_bridge.documents import _prompt
from evalsuite.lm_eval_bridge.imported import our_metric
from evalsuite.lm_eval_bridge.protocol import digest, generation_settings
from evalsuite.registry.registry import Registry
from evalsuite.requests.rolling import encode_rolling
from tests.engine.tiny import WordTokenizer
from tests.golden.golden import needs_package

pytestmark = needs_package("lm-eval")


@settings(deadline=None)
@given(st.text("abcdef", min_size=1, max_size=40), st.integers(1, 12), st.booleans())
def test_windows_are_those_of_lm_eval(text, window, adds_bos):
    from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

    tokenizer = WordTokenizer(bos="<s>", adds_bos=adds_bos)
    ids = tokenizer.encode([text], special_tokens=True)[0]
    theirs = map(make_disjoint_window, get_rolling_token_windows(ids, tokenizer.bos_id, window, 1))
    [ours] = encode_rolling(tokenizer, [text], "tokenizer", window, "lm_eval")
    assert [(list(one.request.context), list(one.request.continuation)) for one in ours] == list(theirs)


def test_without_a_limit_a_text_is_one_window():
    [[one]] = encode_rolling(WordTokenizer(bos="<s>"), ["abc" * 50], "never", None)
    assert (len(one.request.context), len(one.request.continuation)) == (1, 150)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"until": ["\n", "\n", ""]}, (("\n",), 256, 0.0, 1.0)),
        ({"until": "Q:", "max_gen_toks": 9, "do_sample": False, "temperature": 0.7}, (("Q:",), 9, 0.0, 1.0)),
        ({"until": [], "do_sample": True, "temperature": 0.2, "top_p": 0.9}, ((), 256, 0.2, 0.9)),
        ({"max_new_tokens": 5, "top_k": 40, "num_beams": 1}, ((), 5, 0.0, 1.0)),
    ],
)
def test_generation_arguments(arguments, expected):
    one = generation_settings(arguments, "x")
    assert (one.stop, one.max_tokens, one.temperature, one.top_p) == expected


@pytest.mark.parametrize(
    "arguments",
    [{"num_beams": 4}, {"do_sample": True, "temperature": 1.0, "top_k": 5}, {"penalty_alpha": 0.6}],
)
def test_arguments_that_would_change_the_text_are_refused(arguments):
    with pytest.raises(UserError, match=r"x generates with .*which evalsuite's engine does not support"):
        generation_settings(arguments, "x")


def test_two_kinds_of_request_of_one_document_are_refused():
    from lm_eval.api.instance import Instance

    both = [Instance("generate_until", {}, ("Q", {}), 0), Instance("loglikelihood", {}, ("Q", " A"), 1)]
    with pytest.raises(UserError, match="several texts or kinds of request"):
        _prompt("both", both)


def test_a_digest_sees_what_changes_a_score_and_nothing_else():
    config = {"doc_to_text": "Q", "metadata": {"version": 1.0, "pretrained": "a"}, "num_fewshot": 0}
    same = {"doc_to_text": "Q", "metadata": {"version": 1.0, "pretrained": "b"}, "num_fewshot": 5, "tag": "t"}
    assert digest(config) == digest(same)
    assert digest(config) != digest({**config, "doc_to_text": "R"})
    assert digest(config) != digest({**config, "metadata": {"version": 2.0}})
    assert digest({**config, "f": print}) == digest({**config, "f": str(print)})


def test_metrics_of_our_specs_have_our_names():
    registry = Registry.load()
    gsm8k, webqs, mgsm = (registry.spec("lm_eval", name) for name in ("gsm8k", "webqs", "mgsm_direct"))
    assert our_metric("exact_match", "strict-match", gsm8k) == "strict_match"
    assert our_metric("exact_match", "none", webqs) == "acc"
    assert our_metric("exact_match", "remove_whitespace", mgsm) == "exact_match"
