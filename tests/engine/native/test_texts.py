"""What is returned is what follows the prompt, whatever a decoder does with a text's first token."""

from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from evalsuite.engine.native.row import GrowingRows
from evalsuite.engine.native.texts import RowText, TextRules
from evalsuite.engine.tokenizer import HuggingFaceTokenizer
from evalsuite.types import GenerateRequest

BLANK = "▁"
END, TURN = 1, 2
SPECIAL = ["<s>", "</s>", "<|turn|>"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]
WORDS = ["a", "b", ".", ",", "n't", "'s", "Q:", "\n", "é"]


def spelled(decoder, words, **options):
    """A tokenizer of these words behind evalsuite's own."""
    vocabulary = {word: place for place, word in enumerate(dict.fromkeys([*SPECIAL, *words]))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<s>"))
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens([AddedToken(one, special=True) for one in SPECIAL])
    made = HuggingFaceTokenizer(SimpleNamespace(folder=None, gguf_file=None, format=""))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", **options)
    made.__dict__.update(_tokenizer=fast, _loaded=(fast, ()))
    return made


def sentencepiece():
    return decoders.Sequence(
        [decoders.Replace(BLANK, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )


BLANKED = [*WORDS, *(BLANK * count for count in (1, 2, 4)), *(BLANK + word for word in WORDS)]
LETTERS = sorted(pre_tokenizers.ByteLevel.alphabet())
TOKENIZERS = {
    "sentencepiece": spelled(sentencepiece(), [*BLANKED, *BYTES]),
    "metaspace always": spelled(decoders.Metaspace(prepend_scheme="always"), BLANKED),
    "metaspace first": spelled(decoders.Metaspace(prepend_scheme="first"), BLANKED),
    "metaspace never": spelled(decoders.Metaspace(prepend_scheme="never"), BLANKED),
    "bytes": spelled(decoders.ByteLevel(), [*LETTERS, "Ġa", "ĠĠĠĠ", "Q:"]),
    "wordpiece": spelled(decoders.WordPiece(cleanup=True), [*WORDS, "##a", "##b", "do", "not"]),
    "wordpiece as it is": spelled(
        decoders.WordPiece(cleanup=False),
        [*WORDS, "##a", "##b", "do", "not"],
        clean_up_tokenization_spaces=True,
    ),
    "suffixes": spelled(decoders.BPEDecoder(suffix="</w>"), [*WORDS, *(f"{word}</w>" for word in WORDS)]),
}
IDS = {name: len(one._tokenizer) for name, one in TOKENIZERS.items()}


def whole_characters(name):
    """Ids that are a text: bytes only in the groups that make a character."""
    tokenizer = TOKENIZERS[name]._tokenizer
    singles = [
        [one]
        for one in range(len(SPECIAL), IDS[name])
        if "\ufffd" not in tokenizer.decode([one]) and tokenizer.convert_ids_to_tokens(one) not in BYTES[128:]
    ]
    if name == "sentencepiece":
        singles += [
            [tokenizer.convert_tokens_to_ids(f"<0x{byte:02X}>") for byte in text.encode()] for text in "é▁漢"
        ]
    if name == "bytes":
        singles += [[tokenizer.convert_tokens_to_ids(one) for one in "Ã©"]]
    return st.lists(st.sampled_from(singles), max_size=40).map(
        lambda groups: [one for some in groups for one in some]
    )


def rows_of(tokenizer, ends=frozenset()):
    return GrowingRows(SimpleNamespace(eos_ids=ends, model=SimpleNamespace(), device="cpu"), tokenizer, None)


def finished(tokenizer, request, ids):
    """The answer when a model says `ids`."""
    rows = rows_of(tokenizer)
    row = rows.begin(request)
    for token in ids:
        rows.add(row, token)
        if row.answer is not None:
            break
    return row.answer


def reference(tokenizer, prompt, said):
    """The text of prompt and answer without what they share with the text of the prompt."""
    before, whole = tokenizer.decode(prompt), tokenizer.decode([*prompt, *said])
    shared = 0
    while shared < min(len(before), len(whole)) and before[shared] == whole[shared]:
        shared += 1
    return whole[shared:]


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_text_is_that_of_prompt_and_answer_without_that_of_the_prompt(name, data):
    tokenizer = TOKENIZERS[name]
    prompt = [0] * data.draw(st.booleans()) + data.draw(whole_characters(name))
    said = data.draw(st.lists(st.integers(2, IDS[name] - 1), min_size=1, max_size=12))
    text = RowText(TextRules(tokenizer, GenerateRequest(tuple(prompt), (), 99)), tuple(prompt))
    assert text.until_stop(said) == (reference(tokenizer, prompt, said), False)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_growing_text_ends_with_the_token_that_completes_a_stop_string_in_it(name, data):
    tokenizer = TOKENIZERS[name]
    prompt = tuple(data.draw(whole_characters(name)))
    said = data.draw(st.lists(st.integers(2, IDS[name] - 1), min_size=1, max_size=30))
    stops = tuple(
        data.draw(st.lists(st.sampled_from(["a", " b", "Q:", ". ", "  ", "é", "\n", "<|turn|>"]), max_size=3))
    )
    answer = finished(tokenizer, GenerateRequest(prompt, stops, len(said)), said)
    for count in range(1, len(said) + 1):
        text = reference(tokenizer, prompt, said[:count])
        places = [at for at in map(text.find, stops) if at >= 0]
        turned = "<|turn|>" in stops and TURN in said[:count]
        if places or turned:
            break
    else:
        assert answer.finish == "length"
        return
    assert (answer.tokens, answer.finish) == (count, "stop")
    assert answer.text == (text[: min(places)] if places else reference(tokenizer, prompt, said[: count - 1]))


def ids_of(tokenizer, *words):
    return tuple(tokenizer._tokenizer.convert_tokens_to_ids(list(words)))


def test_blanks_at_the_beginning_stay_and_lm_eval_loses_one():
    tokenizer = TOKENIZERS["sentencepiece"]
    prompt, said = ids_of(tokenizer, "a", "<0x0A>"), ids_of(tokenizer, BLANK * 4, "b")
    assert finished(tokenizer, GenerateRequest(prompt, (), 2), said).text == "    b"
    by_itself = GenerateRequest(prompt, (), 2, backend="lm_eval_hf")
    assert finished(tokenizer, by_itself, said).text == "   b"


def test_a_character_that_the_prompt_begins_is_the_answers():
    tokenizer = TOKENIZERS["sentencepiece"]
    prompt = ids_of(tokenizer, "a", "<0xC3>")
    assert finished(tokenizer, GenerateRequest(prompt, (), 2), ids_of(tokenizer, "<0xA9>", "b")).text == "éb"


@pytest.mark.parametrize("backend", ["evalsuite", "lm_eval_hf"])
@pytest.mark.parametrize("stop", ["<|turn|>", "b<|turn|>", "<|turn|>\n"])
def test_a_stop_string_that_spells_a_special_token_ends_the_text(backend, stop):
    tokenizer = TOKENIZERS["sentencepiece"]
    said = ids_of(tokenizer, BLANK + "a", "b", "<|turn|>", "<0x0A>", "a")
    answer = finished(tokenizer, GenerateRequest(ids_of(tokenizer, "a"), (stop,), 5, backend=backend), said)
    assert (answer.finish, answer.tokens) == ("stop", 4 if stop.endswith("\n") else 3)
    expected = {"<|turn|>": " ab", "b<|turn|>": " a", "<|turn|>\n": " ab"}[stop]
    # lm-eval cuts the text without its special tokens, where there is nothing to cut.
    theirs = {"<|turn|>": "ab", "b<|turn|>": "ab", "<|turn|>\n": "ab\n"}[stop]
    assert answer.text == (expected if backend == "evalsuite" else theirs)


def test_a_stop_string_inside_a_special_tokens_name_ends_only_lm_evals_text():
    tokenizer = TOKENIZERS["bytes"]
    said = ids_of(tokenizer, "a", "<|turn|>", "b")
    own = finished(tokenizer, GenerateRequest((5,), ("turn",), 3), said)
    assert (own.text, own.finish) == ("ab", "length")
    theirs = finished(tokenizer, GenerateRequest((5,), ("turn",), 3, backend="lm_eval_hf"), said)
    assert (theirs.text, theirs.finish) == ("a", "stop")


def test_the_spelling_of_the_end_token_ends_lm_evals_text():
    tokenizer = TOKENIZERS["wordpiece"]
    letters = spelled(decoders.Fuse(), ["a", "b", "</", "s>"])
    said = ids_of(letters, "a", "</", "s>", "b")
    assert finished(letters, GenerateRequest((3,), (), 4), said).text == "a</s>b"
    assert finished(letters, GenerateRequest((3,), (), 4, backend="lm_eval_hf"), said).text == "a"
    assert tokenizer.special_texts == {0: "<s>", 1: "</s>", 2: "<|turn|>"}
