"""Text from elsewhere, shown and never obeyed."""

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import UserError
from evalsuite.visible import refuse_undecodable, visible, visible_in_json

ANY = st.text(st.characters())


@given(ANY)
def test_no_control_character_is_left_whatever_the_text(text):
    assert all(unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in visible(text))


@given(ANY)
def test_a_json_document_means_the_same_and_holds_none(text):
    shown = visible_in_json(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(shown) == {"text": text}
    assert all(unicodedata.category(one) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in shown)


@pytest.mark.parametrize("text", ["größer · 50 %", "数学 \u00a0 é̂", "👍🏽", "a[red]b", "=1+2|x"])
def test_what_is_no_control_character_stays(text):
    assert visible(text) == text


def test_what_is_spelled_out_can_be_told():
    assert visible("a\x1b[2J\u202eb\x9bc\udce9\n") == "a\\x1b[2J\\u202eb\\x9bc\\udce9\\n"
    assert visible("a\tb\n", keep="\n\t") == "a\tb\n"


def test_a_path_with_a_byte_that_is_no_utf8_is_refused_by_name():
    refuse_undecodable("--out", "café")
    with pytest.raises(UserError, match=r"--out caf\\udce9: the path is not valid UTF-8"):
        refuse_undecodable("--out", "caf\udce9")
