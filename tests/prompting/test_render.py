import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.errors import UserError
from evalsuite.prompting.render import Renderer
from evalsuite.prompting.spec import PromptSpec
from evalsuite.types import ClozePair, Document, MultipleChoice, OpenAnswer, Prompt, Question
from tests.prompting.specs import CLOZE, GENERATE, LETTERS

LISTED = "{{ stem }}{% for choice in choices %}\n{{ letters[loop.index0] }}. {{ choice }}{% endfor %}\nA:"
SKY = MultipleChoice("Sky?", ("blue", "green"), 0)
GRASS = MultipleChoice("Grass?", ("blue", "green"), 1)
SUM = OpenAnswer("1+1?", ("2", "two"), "1+1 is 2")


def ask(fields: dict, question: Question, *shots: Question, most_shots: int | None = None) -> Prompt:
    """The prompt of `question`; a shot's row is `{"question": shot}`."""
    renderer = Renderer(PromptSpec(**fields), lambda row: row["question"])
    document = Document(0, "", 0, {"topic": "colours"}, question)
    return renderer.prompt(document, [{"question": shot} for shot in shots], most_shots)


def test_cloze_scores_the_text_of_each_choice_after_one_context():
    prompt = ask(CLOZE, SKY, GRASS)
    assert prompt.contexts == ("Q: Grass?\nA: green\n\nQ: Sky?\nA:",)
    assert prompt.continuations == (" blue", " green")
    assert prompt.generation is None


def test_letters_scores_the_letter_and_shots_show_the_right_one():
    prompt = ask(LETTERS | {"question": LISTED}, SKY, GRASS)
    assert prompt.contexts[0] == "Grass?\nA. blue\nB. green\nA: B\n\nSky?\nA. blue\nB. green\nA:"
    assert prompt.continuations == (" A", " B")


def test_a_cloze_pair_has_a_context_for_each_beginning_and_one_ending():
    pair = ClozePair(("The cup", "The box"), "was too big.", 0)
    shot = ClozePair(("Ann", "Eve"), "had helped.", 1)
    prompt = ask(CLOZE | {"question": "{{ beginning }}"}, pair, shot)
    assert prompt.contexts == ("Eve had helped.\n\nThe cup", "Eve had helped.\n\nThe box")
    assert prompt.pairs == ((prompt.contexts[0], " was too big."), (prompt.contexts[1], " was too big."))


def test_generate_has_no_continuations_and_carries_its_settings():
    prompt = ask(GENERATE, SUM, SUM)
    assert prompt.contexts == ("Q: 1+1?\nA: 1+1 is 2\n\nQ: 1+1?\nA:",)
    assert prompt.continuations == ()
    assert prompt.generation.stop == ("Q:",)


def test_an_open_answer_s_template_sees_its_gold_forms():
    prompt = ask(GENERATE | {"answer": "{{ answers[0] }} or {{ answers[1] }}"}, SUM, SUM)
    assert "A: 2 or two\n\n" in prompt.contexts[0]


def test_delimiter_belongs_to_the_continuation_and_separator_ends_a_shot():
    prompt = ask(CLOZE | {"delimiter": "", "separator": "##"}, SKY, GRASS)
    assert prompt.contexts == ("Q: Grass?\nA:green##Q: Sky?\nA:",)
    assert prompt.continuations == ("blue", "green")


def test_the_description_stands_first_and_sees_the_row():
    prompt = ask(CLOZE | {"description": "About {{ row.topic }}.\n\n"}, SKY, GRASS)
    assert prompt.contexts[0].startswith("About colours.\n\nQ: Grass?")


@given(st.integers(0, 4))
def test_fewer_shots_are_the_first_ones(most):
    asked = [MultipleChoice(f"S{number}", ("x", "y"), 0) for number in range(3)]
    assert ask(CLOZE, SKY, *asked, most_shots=most) == ask(CLOZE, SKY, *asked[:most])


@given(st.text(min_size=1), st.lists(st.text(), min_size=1, max_size=4))
def test_no_text_of_the_data_is_changed_or_taken_for_a_template(stem, choices):
    prompt = ask(CLOZE | {"question": "{{ stem }}"}, MultipleChoice(stem, tuple(choices), 0))
    assert prompt.contexts == (stem,)
    assert prompt.continuations == tuple(" " + choice for choice in choices)


def test_a_template_sees_no_answer_of_the_question_that_is_asked():
    for name in ("answer", "gold"):
        with pytest.raises(UserError, match=f"ours/quiz: question.*'{name}' is undefined"):
            ask(CLOZE | {"question": "{{ stem }} {{ " + name + " }}"}, SKY)


def test_rows_of_equal_id_are_not_taken_for_each_other():
    renderer = Renderer(PromptSpec(**CLOZE), lambda row: row["question"])
    document = Document(0, "", 0, {}, SKY)
    for number in range(50):  # Each row is gone before the next is made, so that ids come again.
        shot = MultipleChoice(f"S{number}", ("x",), 0)
        assert f"S{number}\n" in renderer.prompt(document, [{"question": shot}]).contexts[0]


def test_twenty_six_choices_have_letters_and_one_more_is_an_error():
    def many(count: int) -> MultipleChoice:
        return MultipleChoice("Which?", tuple(str(number) for number in range(count)), 0)

    assert ask(LETTERS, many(26)).continuations[-1] == " Z"
    with pytest.raises(UserError, match="ours/quiz: a question has 27 choices, more than the 26 letters"):
        ask(LETTERS, many(27))


def test_a_cloze_pair_in_letters_has_one_context_that_lists_what_the_row_has():
    pair, shot = ClozePair(("The cup", "The box"), "was big.", 0), ClozePair(("Ann", "Eve"), "helped.", 1)
    listed = (
        "___ {{ ending }}\n{% for one in beginnings %}{{ letters[loop.index0] }}. {{ one }}\n{% endfor %}A:"
    )
    prompt = ask(LETTERS | {"question": listed}, pair, shot)
    assert prompt.contexts == (
        "___ helped.\nA. Ann\nB. Eve\nA: B\n\n___ was big.\nA. The cup\nB. The box\nA:",
    )
    assert prompt.continuations == (" A", " B")


def test_letters_may_be_digits():
    prompt = ask(LETTERS | {"letters": "123456789", "question": LISTED}, GRASS, SKY)
    assert prompt.contexts[0].startswith("Sky?\n1. blue\n2. green\nA: 1\n\n")
    assert prompt.continuations == (" 1", " 2")


@pytest.mark.parametrize(
    ("fields", "question", "kind"),
    [
        (CLOZE, SUM, "OpenAnswer"),
        (LETTERS, SUM, "OpenAnswer"),
    ],
)
def test_a_question_that_does_not_fit_the_format_is_an_error(fields, question, kind):
    with pytest.raises(UserError, match=f"the format '{fields['format']}' does not support a {kind}"):
        ask(fields, question)


def test_bos_is_the_spec_s():
    assert ask(CLOZE | {"bos": "always"}, SKY).bos == "always"
