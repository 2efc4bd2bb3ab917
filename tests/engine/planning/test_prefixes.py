from hypothesis import given
from hypothesis import strategies as st

from evalsuite.engine.planning.prefixes import (
    WORTH_A_PREFIX,
    in_slots,
    plan_slots,
    prefill_tokens,
    shared_depths,
)
from evalsuite.types import GenerateRequest

SHOTS, OTHER_SHOTS = tuple(range(100, 300)), tuple(range(400, 500))


def asked(context, sample=0, max_tokens=4):
    return GenerateRequest(context, (), max_tokens, 1.0, sample=sample)


words = st.sampled_from([(1,) * 40, (2,) * 30, (3, 4, 5), (6,), (7,)])
contexts = st.lists(st.lists(words, min_size=1, max_size=4).map(lambda parts: sum(parts, ())), unique=True)


@given(contexts)
def test_a_prefix_is_shared_and_every_prompt_keeps_a_token_of_its_own(contexts):
    contexts = sorted(contexts)
    depths = shared_depths(contexts)
    assert all(0 <= depth < len(context) for depth, context in zip(depths, contexts, strict=True))
    prefixes = [context[:depth] for depth, context in zip(depths, contexts, strict=True) if depth]
    assert all(prefixes.count(prefix) > 1 for prefix in prefixes)


@given(contexts)
def test_prefixes_never_cost_more_than_they_save(contexts):
    prompts = plan_slots([asked(context) for context in contexts])
    prefixes = {prompt.shared for prompt in prompts if prompt.shared}
    saved = sum(map(len, contexts)) - prefill_tokens(prompts)
    assert saved >= WORTH_A_PREFIX * len(prefixes)


@given(contexts, st.randoms())
def test_a_plan_has_every_request_once_and_does_not_depend_on_their_order(contexts, random):
    requests = [asked(context, sample) for context in contexts for sample in range(2)]
    plan = plan_slots(requests)
    assert plan == plan_slots(random.sample(requests, len(requests)))
    planned = [one for prompt in plan for one in prompt.requests]
    assert set(planned) == set(requests)
    assert len(planned) == len(requests)
    assert all(one.context == prompt.shared + prompt.own for prompt in plan for one in prompt.requests)


def test_prompts_of_several_tasks_have_their_own_shots_and_the_longest_comes_first():
    requests = [asked(SHOTS + (9,) * n) for n in (3, 1, 2)] + [asked(OTHER_SHOTS + (9,) * n) for n in (1, 2)]
    requests.append(asked((7, 7, 7)))
    plan = plan_slots(requests)
    assert [(prompt.shared, len(prompt.own)) for prompt in plan] == [
        (SHOTS, 3),
        (SHOTS, 2),
        (SHOTS, 1),
        (OTHER_SHOTS, 2),
        (OTHER_SHOTS, 1),
        ((), 3),
    ]
    assert prefill_tokens(plan) == 200 + 6 + 100 + 3 + 3


def test_shots_within_a_common_beginning_are_found():
    beginning = tuple(range(20))
    contexts = sorted(beginning + shots + (n,) for shots in (SHOTS, OTHER_SHOTS) for n in range(5))
    assert sorted(shared_depths(contexts)) == [120] * 5 + [220] * 5


def test_what_is_answered_shapes_the_plan_but_is_not_in_it():
    requests = [asked((*SHOTS, n)) for n in range(4)]
    whole = plan_slots(requests)
    assert plan_slots(requests, requests[1:]) == [
        prompt for prompt in whole if prompt.requests[0] == requests[0]
    ]
    assert plan_slots(requests, requests) == []
    assert plan_slots([]) == []


def test_requests_of_one_prompt_are_together_and_split_only_where_slots_are_fewer():
    (prompt,) = plan_slots([asked((5, 6), sample) for sample in range(5)])
    assert prompt.own == (5, 6)
    assert [len(part.requests) for part in in_slots([prompt], 2)] == [2, 2, 1]
    assert in_slots([prompt], 8) == [prompt]


def test_a_long_chain_of_prompts_that_extend_each_other_is_planned():
    contexts = [(1,) * length for length in range(1, 3000)]
    assert len(shared_depths(contexts)) == len(contexts)
