"""Handing out parts: whatever fails, in whatever order, every request gets exactly one answer."""

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evalsuite.engine.replicas.scheduler import AHEAD, PartScheduler, Piece
from evalsuite.types import ScoreRequest


def request(number: int) -> ScoreRequest:
    return ScoreRequest((number,), (0,))


def part(*numbers: int) -> tuple[ScoreRequest, ...]:
    return tuple(map(request, numbers))


def numbers(requests: tuple[ScoreRequest, ...]) -> list[int]:
    return [one.context[0] for one in requests]


@st.composite
def works(draw):
    """Parts, which requests are answered already, and which make whatever works on them fail."""
    sizes = draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    pool = iter(range(sum(sizes)))
    parts = [part(*islice(pool, size)) for size in sizes]
    everything = [one for some in parts for one in some]
    answered = draw(st.sets(st.sampled_from(everything)))
    poisonous = draw(st.sets(st.sampled_from(everything), max_size=4)) - answered
    return parts, answered, poisonous


class Fleet:
    """Workers that do what is drawn: answer, fail or die; a dead one is replaced at once."""

    def __init__(self, handout, poisonous, draw) -> None:
        self.handout, self.poisonous, self.draw = handout, poisonous, draw
        self.alive = list(range(draw(st.integers(1, 4))))
        self.held = {worker: [] for worker in self.alive}
        self.answers: Counter = Counter()
        self.given_up: list[ScoreRequest] = []
        self.bad_luck = 6
        """How often a worker may die for no fault of its piece."""

    def run(self) -> None:
        while not self.handout.done:
            self.fill()
            assert any(self.held.values()), "work is left, and no worker has any"
            worker = self.draw(st.sampled_from([one for one in self.alive if self.held[one]]))
            unlucky = self.bad_luck and self.draw(st.booleans())
            self.bad_luck -= bool(unlucky)
            ticket, piece = self.held[worker][0]
            if unlucky or (self.poisonous.intersection(piece.left) and self.draw(st.booleans())):
                self.die(worker)
            elif self.poisonous.intersection(piece.left):
                del self.held[worker][0]
                self.note(self.handout.failed(worker, ticket))
            else:
                del self.held[worker][0]
                self.answers.update(self.handout.answered(worker, ticket))

    def fill(self) -> None:
        for worker in self.alive:
            while taken := self.handout.take(worker, self.alive):
                self.held[worker].append(taken)
            assert len(self.held[worker]) <= AHEAD

    def die(self, worker: int) -> None:
        stale = self.held.pop(worker)
        self.alive.remove(worker)
        self.note(self.handout.lost(worker))
        for ticket, _ in stale:  # what it may still have sent comes too late to count
            assert self.handout.answered(worker, ticket) == ()
            assert self.handout.failed(worker, ticket) is None
        self.alive.append(max([worker, *self.alive]) + 1)
        self.held[self.alive[-1]] = []

    def note(self, setback) -> None:
        if setback.then == "given up":
            self.given_up += setback.requests


@settings(deadline=None, max_examples=300)
@given(works(), st.data())
def test_every_request_gets_exactly_one_answer_whatever_fails(work, data):
    parts, answered, poisonous = work
    fleet = Fleet(PartScheduler(parts, answered, data.draw(st.integers(1, 5))), poisonous, data.draw)
    fleet.run()
    outcome = fleet.answers + Counter(fleet.given_up)
    assert outcome == Counter(one for some in parts for one in some if one not in answered)
    assert poisonous <= set(fleet.given_up)


@settings(deadline=None, max_examples=100)
@given(works(), st.data())
def test_only_the_poisonous_are_given_up_where_nothing_else_goes_wrong(work, data):
    parts, answered, poisonous = work
    fleet = Fleet(PartScheduler(parts, answered), poisonous, data.draw)
    fleet.bad_luck = 0
    fleet.run()
    assert set(fleet.given_up) == poisonous


def test_a_part_that_fails_goes_to_another_worker():
    handout = PartScheduler([part(1, 2)])
    ticket, _ = handout.take(0, alive=[0, 1])
    assert handout.failed(0, ticket).then == "again"
    assert handout.take(0, alive=[0, 1]) is None
    assert numbers(handout.take(1, alive=[0, 1])[1].requests) == [1, 2]


def test_a_part_that_fails_goes_to_the_same_worker_if_there_is_no_other():
    handout = PartScheduler([part(1, 2)])
    ticket, _ = handout.take(0, alive=[0])
    handout.failed(0, ticket)
    assert handout.take(0, alive=[0])


def test_what_waited_behind_a_lost_workers_part_is_not_to_blame():
    handout = PartScheduler([part(1), part(2)], workers=1)
    handout.take(0, alive=[0, 1])
    handout.take(0, alive=[0, 1])
    setback = handout.lost(0)
    assert (setback.then, numbers(setback.requests)) == ("again", [1])
    taken = [handout.take(1, alive=[1])[1], handout.take(1, alive=[1])[1]]
    assert sorted((numbers(piece.requests), piece.failures) for piece in taken) == [([1], 1), ([2], 0)]


def test_the_search_for_a_poisonous_request_takes_few_failures():
    """2 of the part, one of each half that holds it, 2 of the request alone."""
    handout, failures = PartScheduler([part(*range(256))]), 0
    while not handout.done:
        ticket, piece = handout.take(0, alive=[0])
        if request(77) in piece.requests:
            setback, failures = handout.failed(0, ticket), failures + 1
        else:
            handout.answered(0, ticket)
    assert (setback.then, numbers(setback.requests)) == ("given up", [77])
    assert failures == 2 + 7 + 2


def test_what_is_answered_shapes_the_plan_and_is_not_asked_again():
    handout = PartScheduler([part(1, 2, 3), part(4)], answered=part(2, 4))
    ticket, piece = handout.take(0, alive=[0])
    assert piece == Piece(part(1, 2, 3), frozenset(part(2)))
    assert numbers(handout.answered(0, ticket)) == [1, 3]
    assert handout.done


def test_the_last_parts_wait_for_whoever_is_free_first():
    handout = PartScheduler([part(number) for number in range(5)], workers=3)
    assert [len(handout.take(0, alive=[0])[1].requests) for _ in range(AHEAD)] == [1, 1]
    assert handout.take(0, alive=[0]) is None
    assert handout.take(1, alive=[0, 1])
    assert handout.take(1, alive=[0, 1]) is None, "two parts are left, and a third worker is still to come"
    assert handout.take(2, alive=[0, 1, 2])


@pytest.mark.parametrize("successes", [0, 1])
def test_requests_given_up_in_a_row_are_counted(successes):
    handout = PartScheduler([part(1), part(2), part(3)])
    for number in (1, 2, 3):
        ticket, _ = handout.take(0, alive=[0])
        if number == 2 and successes:
            handout.answered(0, ticket)
            continue
        handout.failed(0, ticket)
        ticket, _ = handout.take(0, alive=[0])
        handout.failed(0, ticket)
    assert handout.given_up_in_a_row == (1 if successes else 3)
