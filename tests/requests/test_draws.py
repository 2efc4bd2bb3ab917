"""Which shots a document is shown depends on its place in the whole split alone: not on a limit, an order or
a subset.

With the specs of the recipes: one of each way to draw (seeded with and without the spare row, first rows,
fixed rows, member tasks of a split that is mixed, a split that is its own pool).
"""

from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.data.subset import Subset
from evalsuite.registry.registry import Registry
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.prepare import prepare
from tests.draws import draws
from tests.golden.golden import SHARED, needs_shared

pytestmark = needs_shared

WAYS = {
    "lm_eval/arc_challenge@25": None,
    "lm_eval/commonsense_qa@7": None,
    "lm_eval/mgsm": None,
    "lm_eval/mmlu_pro": None,
    "lm_eval/winogrande@5": "train",
    "evalsuite/arc_easy": None,
}
"""Address -> evaluated split, where it is not the spec's."""


@cache
def whole(address: str, limit: int | None = None) -> PreparedTask:
    [selected] = Registry.load().select([address])
    return prepare(selected, data_dir=SHARED, split=WAYS[address], subset=Subset(limit))


def shown(task: PreparedTask) -> dict[int, list]:
    return {document.index: rows for document, rows in zip(task.documents, task.shots, strict=True)}


@pytest.mark.parametrize("address", WAYS)
def test_there_are_shots_to_speak_of(address):
    task = whole(address)
    assert all(len(rows) == task.selected.spec.shots.count for rows in task.shots)


@pytest.mark.parametrize("address", WAYS)
@draws(2)
@given(data=st.data())
def test_a_limit_changes_no_draw(address, data):
    count = len(whole(address).documents)
    limit = data.draw(st.integers(1, count).map(lambda number: min(number, count)))
    [selected] = Registry.load().select([address])
    part = prepare(selected, data_dir=SHARED, split=WAYS[address], subset=Subset(limit))
    assert len(part.documents) == limit
    every = shown(whole(address))
    assert shown(part) == {index: every[index] for index in shown(part)}


@pytest.mark.parametrize("address", WAYS)
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 25))
def test_prompts_rendered_in_any_order_and_any_subset_are_the_same(address, seed, count):
    task = whole(address)
    places = Random(seed).sample(range(len(task.documents)), count)
    one_way = {place: task.prompt(place) for place in places}
    [selected] = Registry.load().select([address])
    fresh = PreparedTask(selected, task.split, task.documents, task.shots, task.data)
    other_way = {place: fresh.prompt(place) for place in sorted(places, reverse=True)}
    assert one_way == other_way


@pytest.mark.parametrize("address", ["lm_eval/arc_challenge@25", "lm_eval/commonsense_qa@7"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_seeded_draw_is_that_place_of_the_one_stream(address, data):
    """By hand, from the reference's rule: one `Random(1234)`, one `sample` per document of the whole
    split."""
    task = whole(address)
    shots = task.selected.spec.shots
    pool = task.data["train"].rows
    place = data.draw(st.integers(0, len(task.documents) - 1))
    stream = Random(shots.seed)
    for _ in range(place + 1):
        drawn = stream.sample(range(len(pool)), shots.count + shots.spare)
    assert task.shots[place] == [pool[one] for one in drawn][: shots.count]
