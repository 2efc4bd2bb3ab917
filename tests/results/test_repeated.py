"""A task with several sampled answers to each document, from the engine to the run log."""

import math
from dataclasses import dataclass

import pytest

from evalsuite.stats.intervals import mean_estimate
from evalsuite.stats.passk import pass_at_k
from evalsuite.stats.repeats import metric_split, variance_split
from evalsuite.types import Generated, GenerateRequest
from tests.runs.bench import PLUGIN, Bench, ScriptedEngine

SAMPLED = PLUGIN.replace(
    'generation=GenerationSpec(stop=("\\n",), max_tokens=6)',
    'generation=GenerationSpec(stop=("\\n",), max_tokens=6, samples=8, temperature=0.7)',
).replace(
    'metrics=("exact_match",)', 'metrics=("maj@8", "exact_match", "pass@1", "pass@4", "pass@8", "maj@3")'
)
RIGHT = (0, 1, 3, 4, 4, 8, 7, 2, 5, 8, 8, 8, 6, 0, 4, 8)
"""Right answers among the eight of each document; they come last, and the wrong ones are all the same."""


@dataclass
class Sampler(ScriptedEngine):
    """Answers document n rightly in its last RIGHT[n] samples, and wrongly, always in the same way,
    before."""

    def _generate(self, request: GenerateRequest) -> Generated:
        question = self.tokenizer.decode(request.context).splitlines()[-1]
        number = int(question.split(" + ")[0])
        right = request.sample >= 8 - RIGHT[number]
        return Generated(f" {number + 3}" if right else " -1", 3, "stop")


@pytest.fixture(scope="module")
def metrics(tmp_path_factory):
    bench = Bench.make(tmp_path_factory.mktemp("sampled"), plugin=SAMPLED)
    return bench.execute(Sampler(), "sums").task("sums").metrics


def test_each_metric_is_what_the_answers_make_of_it(metrics):
    n = len(RIGHT)
    assert metrics["exact_match"].value == metrics["pass@1"].value == pytest.approx(sum(RIGHT) / 8 / n)
    # 1 - C(8 - c, 4) / C(8, 4), written out for each count that occurs
    by_hand = {0: 0, 1: 1 / 2, 2: 1 - 15 / 70, 3: 1 - 5 / 70, 4: 1 - 1 / 70, 5: 1, 6: 1, 7: 1, 8: 1}
    assert metrics["pass@4"].value == pytest.approx(sum(by_hand[one] for one in RIGHT) / n)
    assert metrics["pass@8"].value == 14 / 16
    # Four against four is a tie, which the first answer wins, and that is a wrong one.
    assert metrics["maj@8"].value == sum(one > 4 for one in RIGHT) / n == 8 / 16
    # The first three answers have two right ones where seven or eight are right.
    assert metrics["maj@3"].value == sum(one >= 7 for one in RIGHT) / n


def test_each_interval_is_that_of_the_documents_values(metrics):
    votes = mean_estimate([float(one > 4) for one in RIGHT])
    assert (metrics["maj@8"].low, metrics["maj@8"].high) == (votes.low, votes.high)
    assert (votes.low, votes.high) == pytest.approx((0.2800, 0.7200), abs=1e-4)  # Wilson's of 8 of 16
    for k in (1, 4, 8):
        values = [pass_at_k(one, 8, k) for one in RIGHT]
        found, expected = metrics[f"pass@{k}"], mean_estimate(values)
        assert (found.value, found.stderr) == pytest.approx((expected.value, expected.stderr))
        assert (found.low, found.high, found.n) == pytest.approx((expected.low, expected.high, 16))
        spread = sum((one - expected.value) ** 2 for one in values)
        assert found.stderr == pytest.approx(math.sqrt(spread / 15 / 16))


@pytest.mark.parametrize("name", ["exact_match", "pass@1", "pass@4", "pass@8", "maj@8", "maj@3"])
def test_the_error_is_split_into_problems_and_sampling(metrics, name):
    found = metrics[name]
    assert 0 < found.sampling_stderr < found.stderr
    assert found.stderr**2 == pytest.approx(found.problem_stderr**2 + found.sampling_stderr**2)


def test_the_sampling_part_is_what_other_answers_would_change(metrics):
    right = [[False] * (8 - one) + [True] * one for one in RIGHT]
    assert metrics["pass@1"].sampling_stderr == pytest.approx(variance_split(right).sampling)
    # pass@8 of eight answers is 0 only if all are wrong: chance (1 - c / 8) ** 8 in a re-run.
    missed = [(1 - one / 8) ** 8 for one in RIGHT]
    by_hand = math.sqrt(sum(one * (1 - one) for one in missed)) / 16
    assert metrics["pass@8"].sampling_stderr == pytest.approx(by_hand)


def test_a_metric_that_is_not_made_of_the_verdicts_has_no_split():
    assert metric_split("f1", [0.3, 0.9], [[True, False], [True, True]], [["a", "b"], ["c", "c"]]) is None
    assert metric_split("pass@1", [1.0, 0.0], [[True], [False]], [["a"], ["b"]]) is None
