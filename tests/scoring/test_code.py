"""The code scorer with the real sandbox: texts become programs, tests decide, and no failure of ours is a
verdict."""

from collections.abc import Sequence
from contextlib import contextmanager

import pytest

from evalsuite.prompting.spec import CodeRun, GenerationSpec, PromptSpec, Source
from evalsuite.sandbox import Program, SandboxFailed, SandboxUnavailable
from evalsuite.scoring import code as module
from evalsuite.scoring.judge import JudgedTask, judge_samples
from evalsuite.scoring.verdict import Options
from evalsuite.scoring.workers import ScorerFailed
from evalsuite.types import CodeProblem, Document, Generated, Prompt, Sample

STEM = 'def double(x):\n    """Twice x."""\n'
RIGHT = "    return 2 * x\n"
WRONG = "    return x + 2\n"  # right for 2 alone
PROBLEM = CodeProblem(
    STEM,
    STEM + RIGHT,
    {"base": "assert double(2) == 4", "plus": "assert double(2) == 4\nassert double(3) == 6"},
    "double",
)
WORKERS = Options(workers=2)


def spec(metrics: tuple[str, ...] = ("pass@1",), samples: int = 1, **run) -> PromptSpec:
    return PromptSpec(
        recipe="ours",
        task="doubles",
        version=1,
        source=Source(status="ours"),
        format="code",
        question="{{ stem }}",
        generation=GenerationSpec(samples=samples),
        code=CodeRun(**{"program": "{{ stem }}{{ text }}"} | run),
        scorer="code",
        metrics=metrics,
    )


def sample(texts: Sequence[str], problem: CodeProblem = PROBLEM, index: int = 0) -> Sample:
    return Sample(
        document=Document(index, "", index, {"before": "import math"}, problem),
        prompt=Prompt((problem.stem,)),
        shots=0,
        status="scored",
        responses=tuple(Generated(text, 1, "eos") for text in texts),
    )


def judged(*texts: str, spec: PromptSpec | None = None, problem: CodeProblem = PROBLEM) -> JudgedTask:
    """One document for each text."""
    samples = [sample([text], problem, index) for index, text in enumerate(texts)]
    return judge_samples(samples, spec or globals()["spec"](), WORKERS)


def test_a_program_is_right_if_its_tests_pass_and_a_reader_sees_how_it_ended():
    endless = "    while True: pass\n"
    samples, notes = judged(RIGHT, WRONG, "    return y\n", endless, spec=spec(tests="plus", seconds=0.5))
    assert [one.metrics["pass@1"] for one in samples] == [1.0, 0.0, 0.0, 0.0]
    assert [one.correct for one in samples] == [(True,), (False,), (False,), (False,)]
    assert samples[0].extracted == (STEM + RIGHT,)
    assert samples[0].prediction == STEM + RIGHT
    assert samples[0].deciders == ("plus tests: passed",)
    assert samples[1].deciders[0].startswith("plus tests: failed (")
    assert samples[2].deciders == ("plus tests: error (NameError: name 'y' is not defined)",)
    assert samples[3].deciders[0].startswith("plus tests: timeout")
    assert "1 of 4 program runs reached their time limit and count as wrong." in notes
    assert notes[0].startswith("Programs ran in the sandbox's tier '")
    assert "a wrong one does not" in notes[0]


def test_base_and_plus_verdicts_stand_side_by_side():
    samples, _ = judged(RIGHT, WRONG, spec=spec(("pass@1", "base_pass@1"), tests="plus"))
    assert samples[0].metrics == {"pass@1": 1.0, "base_pass@1": 1.0}
    assert samples[1].metrics == {"pass@1": 0.0, "base_pass@1": 1.0}
    assert samples[1].deciders[0].endswith("; base tests: passed")


def test_base_tests_that_decide_are_run_once():
    [one], _ = judged(WRONG, spec=spec(("pass@1", "base_pass@1")))
    assert one.metrics == {"pass@1": 1.0, "base_pass@1": 1.0}
    assert one.deciders == ("base tests: passed",)


def test_pass_at_k_is_the_unbiased_estimate_over_all_texts():
    texts = [RIGHT, WRONG, WRONG, "nonsense("]
    metrics = ("pass@1", "pass@2", "base_pass@1", "base_pass@2")
    [one], _ = judge_samples([sample(texts)], spec(metrics, samples=4, tests="plus"), WORKERS)
    assert one.correct == (True, False, False, False)
    assert one.metrics == pytest.approx(
        {"pass@1": 1 / 4, "pass@2": 1 - 3 / 6, "base_pass@1": 3 / 4, "base_pass@2": 1.0}
    )


@pytest.mark.parametrize(
    ("sanitize", "verdict"), [("no", 0.0), ("evalplus", 1.0), ("nvidia", 1.0)], ids=lambda value: str(value)
)
def test_the_sanitiser_cuts_what_runs_on(sanitize, verdict):
    text = RIGHT + "\nThat is it, isn't it?\n\ndef unused():\n    return 0\n"
    [one], _ = judged(text, spec=spec(sanitize=sanitize, reachable=True))
    assert one.metrics == {"pass@1": verdict}
    if sanitize != "no":
        assert one.extracted == ((STEM + RIGHT).rstrip(),)


def test_a_program_template_sees_the_row_and_the_entry_point():
    program = "{{ row.before }}\n{{ stem }}{{ text }}\nother = {{ entry_point }}"
    problem = CodeProblem(STEM, STEM + RIGHT + "other = double", {"base": "assert other(2.5) == 5"}, "double")
    [one], _ = judged("    return math.floor(2 * x)", spec=spec(program=program), problem=problem)
    assert one.metrics == {"pass@1": 1.0}
    assert one.extracted[0].startswith("import math\ndef double")


def test_a_reference_solution_that_does_not_pass_here_leaves_the_document_without_a_verdict():
    broken = CodeProblem(
        STEM, STEM + "    import a_library_that_is_missing\n", {"base": "assert double(2) == 4"}
    )
    samples = [sample([RIGHT], broken), sample([RIGHT], index=1)]
    (failed, scored), _ = judge_samples(samples, spec(), WORKERS)
    assert (failed.status, failed.metrics, failed.correct) == ("failed", {}, ())
    assert "reference solution does not pass" in failed.reason
    assert "a_library_that_is_missing" in failed.reason
    assert scored.metrics == {"pass@1": 1.0}


def test_by_published_tests_that_no_answer_passes_every_answer_is_wrong():
    problem = CodeProblem(STEM, STEM + RIGHT, {"base": "assert double(2) == 5"}, "double", ("base",))
    [one], _ = judged(RIGHT, problem=problem)
    assert (one.status, one.metrics) == ("scored", {"pass@1": 0.0})


def test_the_time_limit_grows_with_what_the_reference_solution_takes_here():
    slow = STEM + "    import time\n    while time.process_time() < {}: pass\n    return 2 * x\n"
    problem = CodeProblem(STEM, slow.format(0.4), {"base": "assert double(2) == 4"}, "double")
    body = slow.removeprefix(STEM)
    samples, notes = judged(body.format(0.6), body.format(30.0), spec=spec(seconds=0.2), problem=problem)
    assert [one.metrics["pass@1"] for one in samples] == [1.0, 0.0]
    assert samples[1].deciders[0].startswith("base tests: timeout")
    assert "1 of 2 program runs reached their time limit and count as wrong." in notes


def test_results_that_cannot_leave_their_process_are_judged_within_it_and_counted():
    stem = "def much(x):\n"
    solution = stem + "    return 'x' * x\n"
    problem = CodeProblem(stem, solution, {"base": "assert len(much(70 << 20)) == 70 << 20"}, "much")
    samples, notes = judged("    return 'x' * x\n", "    return 'x'\n", problem=problem)
    assert [one.metrics["pass@1"] for one in samples] == [1.0, 0.0]
    assert "2 of 2 program runs had their tests in the same process (mode token)." in notes


NO_ANSWER = {
    "exit": "    import sys; sys.exit(0)\n",
    "_exit": "    import os; os._exit(0)\n",
    "equal to all": "    return type('Equal', (int,), {'__eq__': lambda self, other: True})()\n",
    "SystemExit": "    raise SystemExit\n",
    "null": "\0",
    "nesting": "(" * 100_000,
    "surrogate": "    return '\ud800'\n",
    "a megabyte": "x" * 1_000_000,
    "nothing": "",
}


@pytest.mark.parametrize("sanitize", ["no", "nvidia"])
def test_a_program_that_does_not_answer_is_wrong_and_nothing_else(sanitize):
    texts = [text for strange in NO_ANSWER.values() for text in (strange, RIGHT)]
    samples, _ = judged(*texts, spec=spec(sanitize=sanitize))
    assert {one.status for one in samples} == {"scored"}
    for name, strange, plain in zip(NO_ANSWER, samples[::2], samples[1::2], strict=True):
        assert (name, strange.metrics) == (name, {"pass@1": 0.0})
        assert (name, plain.metrics) == (name, {"pass@1": 1.0})


def test_tests_that_a_problem_does_not_have_are_a_sentence_and_no_verdict():
    [one], _ = judged(RIGHT, spec=spec(tests="hard"))
    assert one.status == "failed"
    assert one.reason == ("The prompt spec names the tests 'hard', but a problem has only base, plus.")


def test_a_text_that_the_sanitiser_cannot_finish_is_judged_as_it_stands(monkeypatch):
    monkeypatch.setattr(module, "SANITIZER_SECONDS", 0.05)
    text = RIGHT + "foo bar baz\n" * 80_000
    (unfinished, right), _ = judged(text, RIGHT, spec=spec(sanitize="nvidia"))
    assert (unfinished.status, unfinished.metrics) == ("scored", {"pass@1": 0.0})
    assert unfinished.extracted == (STEM + text,)
    assert right.metrics == {"pass@1": 1.0}


def test_a_text_that_ends_the_sanitisers_process_is_judged_as_it_stands(monkeypatch):
    ended = [ScorerFailed("the scorer's process died")]
    monkeypatch.setattr(module, "call_all", lambda target, calls, **_: ended * len(calls))
    right, wrong = judged(RIGHT, "It is this:", spec=spec(sanitize="python")).samples
    assert (right.metrics, wrong.metrics) == ({"pass@1": 1.0}, {"pass@1": 0.0})


def test_without_a_sandbox_nothing_is_scored_and_the_reason_says_what_to_enable(monkeypatch):
    @contextmanager
    def none_works(workers=None, tier=None, allow_unsafe=False):
        assert not allow_unsafe
        raise SandboxUnavailable("No sandbox works here; enable user namespaces.")
        yield

    monkeypatch.setattr(module, "open_sandbox", none_works)
    samples, notes = judged(RIGHT, WRONG)
    assert {(one.status, one.reason) for one in samples} == {
        ("failed", "No sandbox works here; enable user namespaces.")
    }
    assert all(not one.metrics for one in samples)
    assert notes == ()


def test_a_program_that_the_sandbox_lost_leaves_its_document_without_a_verdict(monkeypatch):
    class Losing(module.Sandbox):
        def run(self, programs: Sequence[Program], on_done=None):
            verdicts = super().run(programs, on_done)
            return [
                SandboxFailed("the supervisor died") if WRONG in program.code else verdict
                for program, verdict in zip(programs, verdicts, strict=True)
            ]

    monkeypatch.setattr("evalsuite.sandbox.pool.Sandbox", Losing)
    samples, _ = judged(RIGHT, WRONG)
    assert [(one.status, one.reason) for one in samples] == [
        ("scored", ""),
        ("failed", "base tests: the supervisor died"),
    ]


def test_the_last_tier_is_used_only_where_the_user_allows_it(monkeypatch):
    asked = []
    real = module.open_sandbox

    def recorded(workers=None, tier=None, allow_unsafe=False):
        asked.append(allow_unsafe)
        return real(workers, tier, allow_unsafe)

    monkeypatch.setattr(module, "open_sandbox", recorded)
    for allowed in (False, True):
        judge_samples([sample([RIGHT])], spec(), Options(allow_unsafe_code=allowed, workers=1))
    assert asked == [False, True]


def test_programs_that_have_ended_are_counted():
    told = []
    judge_samples(
        [sample([RIGHT, WRONG])], spec(), Options(workers=1, on_verdicts=lambda *counts: told.append(counts))
    )
    assert told == [(1, 2), (1, 2)]
