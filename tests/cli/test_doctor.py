import json
import re


def test_json_has_every_check_and_exit_code_0_says_that_nothing_needed_is_broken(evalsuite):
    done = evalsuite("doctor", "--json")
    told = json.loads(done.stdout)
    assert {check["part"] for check in told["checks"]} == {"software", "gpu", "sandbox", "data", "machine"}
    assert told["ok"] == all(check["state"] != "broken" for check in told["checks"])
    assert done.returncode == (0 if told["ok"] else 1)


def test_every_gap_has_one_sentence_of_advice(evalsuite):
    checks = json.loads(evalsuite("doctor", "--json").stdout)["checks"]
    for check in checks:
        if check["state"] != "ok":
            assert re.fullmatch(r"[A-Z].*\.", check["advice"]), check


def test_what_is_broken_is_exit_code_1_and_marked(evalsuite, tmp_path):
    done = evalsuite("doctor", "--data", tmp_path / "nowhere")
    assert done.returncode == 1
    assert "✗" in done.stdout
    assert "✗ folder: Name a folder that exists." in done.stdout.splitlines()
    assert "Traceback" not in done.stderr
