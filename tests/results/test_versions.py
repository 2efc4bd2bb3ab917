from evalsuite.results.versions import ANSWERING, differing, installed, told_of_origins

HERE = {"torch": "2.13.0", "transformers": "5.23.0", "python": "3.11", "peft": "0.21"}


def told(*origins):
    return list(told_of_origins(origins, HERE))


def test_installed_packages_have_a_version_and_others_are_left_out():
    assert {"evalsuite", "torch", "transformers"} <= installed(ANSWERING).keys()
    assert installed(["no-such-package"]) == {}


def test_packages_that_differ_or_are_missing_are_found_on_both_sides():
    assert differing({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == {
        "b": ("2", "3"),
        "c": ("none", "4"),
    }


def test_answers_of_the_same_versions_need_no_word():
    assert told(({"torch": "2.13.0", "transformers": "5.23.0"}, 7)) == []


def test_answers_of_other_versions_are_counted_by_session_and_the_packages_named():
    assert told(({"torch": "2.13.0", "transformers": "5.17.0"}, 1200), ({}, 3)) == [
        "1,200 answers come from a session with transformers 5.17.0 (here 5.23.0).",
        "3 answers come from sessions whose package versions were not recorded.",
    ]


def test_a_kernel_that_was_there_or_is_there_now_counts():
    assert "triton 3.4 (here none)" in told(({**HERE, "triton": "3.4"}, 1))[0]
