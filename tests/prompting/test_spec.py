import pytest
from pydantic import ValidationError

from evalsuite.prompting.shots import Exemplars
from evalsuite.prompting.spec import GenerationSpec, PromptSpec
from tests.prompting.specs import CLOZE, CODE, GENERATE, LETTERS, TEXT

EXEMPLARS = {"package": "p", "file": "f.yaml", "at": "a.b", "prefix_sha256": "0" * 64}


@pytest.mark.parametrize("fields", [CLOZE, LETTERS, GENERATE], ids=["cloze", "letters", "generate"])
def test_a_spec_of_each_format_is_valid(fields):
    assert PromptSpec(**fields).format == fields["format"]


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        (CLOZE | {"shot": 5}, "Extra inputs are not permitted"),
        (CLOZE | {"shots": {"cuont": 5}}, "Extra inputs are not permitted"),
        (CLOZE | {"version": 0}, "greater than or equal to 1"),
        (CLOZE | {"format": "cloxe"}, "'cloze', 'letters'"),
        (CLOZE | {"source": {"status": "guessed"}}, "'seen', 'inferred'"),
        (CLOZE | {"metrics": ["exact_match"]}, "metrics of scorer 'choice' are acc, acc_norm"),
        (CLOZE | {"metrics": ["acc_mutual_info"]}, "needs 'unconditional'"),
        (GENERATE | {"metrics": ["maj@8"]}, "need 8 samples"),
        (
            GENERATE | {"format": "code", "scorer": "code"},
            "format 'code' and the field 'code' belong together",
        ),
        (CLOZE | {"metrics": []}, "metrics of scorer 'choice'"),
        (GENERATE | {"metrics": ["acc"]}, "metrics of scorer 'exact_match' are exact_match"),
        (CLOZE | {"scorer": "lm_eval"}, "'lm_eval' and the field 'definition' belong together"),
        (CLOZE | {"scorer": "math_verify"}, "the scorer of format 'cloze' must be choice, got math_verify"),
        (
            GENERATE | {"scorer": "number", "extraction": {"patterns": ["x"]}},
            "scorer 'number' finds and compares the answer itself",
        ),
        (GENERATE | {"math_verify": "0.9"}, "scorer 'exact_match' does not use math-verify"),
        (GENERATE | {"scorer": "choice"}, "the scorer of format 'generate' must be exact_match or"),
        (GENERATE | {"generation": None}, "needs 'generation', and 'answer' for its shots"),
        (
            GENERATE | {"answer": None, "shots": {"count": 1, "split": "train"}},
            "needs 'generation', and 'answer' for its shots",
        ),
        (LETTERS | {"generation": {}}, "format 'letters' generates no text"),
        (LETTERS | {"extraction": {"patterns": ["x"]}}, "format 'letters' generates no text"),
        (CLOZE | {"shots": {"count": 1}}, "shots need a split or exemplars"),
        (CLOZE | {"shots": {"count": -1}}, "greater than or equal to 0"),
        (
            CLOZE | {"shots": {"count": 2, "split": "train", "draw": "fixed", "rows": [3]}},
            "2 fixed shots need 2 row numbers; there are 1",
        ),
        (
            CLOZE | {"shots": {"count": 1, "split": "train", "draw": "fixed", "rows": [-1]}},
            "greater than or equal to 0",
        ),
        (GENERATE | {"generation": {"top_p": 0}}, "greater than 0"),
        (GENERATE | {"generation": {"max_tokens": 0}}, "greater than or equal to 1"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        PromptSpec(**fields)


CHANGES = {
    "documents": {"shuffle": 1337},
    "recipe": "theirs",
    "task": "riddle",
    "uses": "quiz",
    "variant": "other",
    "members": ["one"],
    "candidate": "{{ text }}!",
    "unconditional": "Answer:",
    "join": "last_token",
    "window": 2048,
    "aggregates": {"hard": {"subset": "hard"}},
    "version": 2,
    "format": "letters",
    "split": "validation",
    "description": "Quiz.\n",
    "question": "{{ stem }}",
    "answer": "{{ gold }}!",
    "delimiter": "",
    "separator": "\n",
    "letters": "abcd",
    "order": [1, 0],
    "lengths": "continuation",
    "shots": {"count": 1, "split": "train"},
    "bos": "always",
    "overlong": "drop_shots",
    "encoding": "lm_eval",
    "metrics": ["acc_norm"],
    "aggregation": "macro",
}
GENERATE_CHANGES = {
    "generation": {"stop": ["Q:"], "max_tokens": 512},
    "extraction": {"patterns": [r"\d+"]},
    "scorer": "math_verify",
    "comparison": {"ignore": [","]},
    "extractions": {"strict": {"patterns": [r"\d+"]}},
}
MATH = GENERATE | {"scorer": "math_verify"}
MATH_CHANGES = {"math_verify": "0.9"}
CODE_CHANGES = {"code": {"program": "{{ stem }}{{ text }}"}}
TEXT_CHANGES = {"rewrite": [{"pattern": "a", "by": "b"}], "stride": 512}
DEFINED = CLOZE | {"scorer": "lm_eval", "definition": "1f"}
DEFINED_CHANGES = {"definition": "2e"}


ALL_CHANGES = CHANGES | GENERATE_CHANGES | MATH_CHANGES | CODE_CHANGES | TEXT_CHANGES | DEFINED_CHANGES
BASES = (
    (CHANGES, CLOZE),
    (CODE_CHANGES, CODE),
    (TEXT_CHANGES, TEXT),
    (DEFINED_CHANGES, DEFINED),
    (MATH_CHANGES, MATH),
    (GENERATE_CHANGES, GENERATE),
)


@pytest.mark.parametrize("field", ALL_CHANGES)
def test_the_hash_changes_with_every_field_that_can_change_a_score(field):
    base = next(base for changes, base in BASES if field in changes)
    changed = base | {field: ALL_CHANGES[field]}
    assert PromptSpec(**changed).sha256 != PromptSpec(**base).sha256


def test_every_field_that_can_change_a_score_is_in_the_test_above():
    assert set(ALL_CHANGES) == set(PromptSpec.model_fields) - {"source", "target"}


def test_the_hash_does_not_change_with_a_field_at_its_default():
    assert PromptSpec(**CLOZE, delimiter=" ").sha256 == PromptSpec(**CLOZE).sha256


@pytest.mark.parametrize(
    "change",
    [
        {"count": 2},
        {"split": "dev"},
        {"draw": "seeded"},
        {"rows": [0]},
        {"seed": 1},
        {"spare": True},
        {"exemplars": EXEMPLARS},
    ],
)
def test_the_hash_changes_with_everything_about_the_shots(change):
    shots = {"count": 1, "split": "train"}
    changed = PromptSpec(**CLOZE, shots=shots | change)
    assert changed.sha256 != PromptSpec(**CLOZE, shots=shots).sha256


def test_the_hash_does_not_change_with_notes_about_the_source():
    noted = CLOZE | {"source": {"status": "inferred", "publication": "a card", "notes": "seen elsewhere"}}
    assert PromptSpec(**noted).sha256 == PromptSpec(**CLOZE).sha256


def test_reference_arguments_leave_out_what_the_spec_leaves_out():
    assert GenerationSpec().reference_arguments() == {"until": [], "do_sample": False}
    spelled = GenerationSpec(stop=("Q:",), max_tokens=256, temperature=0.0, top_p=1.0).reference_arguments()
    assert spelled == {
        "until": ["Q:"],
        "do_sample": False,
        "max_gen_toks": 256,
        "temperature": 0.0,
        "top_p": 1.0,
    }
    assert GenerationSpec(temperature=0.8).reference_arguments()["do_sample"] is True


def test_what_a_generation_spec_leaves_out_has_the_reference_harness_default():
    settings = GenerationSpec(stop=("Q:",)).settings()
    assert (settings.max_tokens, settings.temperature, settings.samples) == (256, 0.0, 1)


def test_a_spec_cannot_be_changed_once_it_is_validated():
    with pytest.raises(ValidationError, match="frozen"):
        PromptSpec(**CLOZE).version = 2  # type: ignore[misc]


def test_exemplars_need_the_hash_of_their_prefix():
    with pytest.raises(ValidationError, match="prefix_sha256"):
        Exemplars(package="p", file="f", at="a")


@pytest.mark.parametrize("change", [{"delimiter": " "}, {"join": "joined"}, {"question": "Q"}])
def test_a_held_out_text_has_nothing_around_it(change):
    with pytest.raises(ValidationError, match="an empty question and delimiter"):
        PromptSpec(**TEXT | change)


@pytest.mark.parametrize("change", [{"stride": 5}, {"lengths": "original"}])
def test_strides_and_original_lengths_are_for_held_out_texts(change):
    with pytest.raises(ValidationError, match="are for format 'text'"):
        PromptSpec(**CLOZE | change)
