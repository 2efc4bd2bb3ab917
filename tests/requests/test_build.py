"""From prompts to requests: what fits the window, what is dropped, what cannot be asked."""

from dataclasses import replace

import pytest

from evalsuite.prompting.spec import GenerationSpec
from evalsuite.requests.build import build_requests
from evalsuite.requests.document import generate_requests, score_requests
from evalsuite.types import GenerateRequest, MultipleChoice, OpenAnswer, ScoreRequest
from tests.runs.bench import Bench, ByteTokenizer

TOKENIZER = ByteTokenizer()


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return Bench.make(tmp_path_factory.mktemp("bench"))


def with_spec(prepared, **changes):
    """The same task asked in another way."""
    spec = prepared.selected.spec.model_copy(update=changes)
    return replace(prepared, selected=replace(prepared.selected, spec=spec))


def with_question(prepared, place, question):
    documents = list(prepared.documents)
    documents[place] = replace(documents[place], question=question)
    return replace(prepared, documents=documents)


def bytes_of(text: str) -> int:
    return len(text.encode())


def longest(prepared) -> int:
    """Tokens of the task's longest request; the last scored token needs no place in the window."""
    return max(bytes_of(context + end) - 1 for one in prepared.prompts for context, end in one.pairs)


@pytest.mark.parametrize("address", ["quiz", "quiz:letters", "pairs"])
def test_a_request_for_every_choice_holds_exactly_its_text(bench, address):
    prepared = bench.prepared(address)
    for one, prompt in zip(build_requests(prepared, TOKENIZER, None, 0), prepared.prompts, strict=True):
        texts = [TOKENIZER.decode(request.context + request.continuation) for request in one.requests]
        assert texts == [context + continuation for context, continuation in prompt.pairs]
        assert [TOKENIZER.decode(request.continuation) for request in one.requests] == list(
            prompt.continuations
        )
        assert (one.shots, one.problem, one.joined) == (prepared.selected.spec.shots.count, "", False)


def test_a_scored_document_fits_a_window_of_exactly_its_length(bench):
    prepared = bench.prepared("quiz")
    size = longest(prepared)
    assert not any(one.too_long for one in build_requests(prepared, TOKENIZER, size, 0))
    tight = build_requests(prepared, TOKENIZER, size - 1, 0)
    over = [one.tokens == size for one in tight]
    assert [one.too_long for one in tight] == over
    assert 0 < sum(over) < len(over)


def test_one_long_choice_makes_the_whole_document_too_long(bench):
    question = MultipleChoice("1 + 1?", ("2", "3" * 50), 0)
    prepared = with_question(bench.prepared("quiz"), 3, question)
    asked = build_requests(prepared, TOKENIZER, longest(bench.prepared("quiz")), 0)
    assert [one.too_long for one in asked] == [place == 3 for place in range(len(asked))]
    assert asked[3].requests == ()
    assert asked[3].tokens == bytes_of("Q: 1 + 1?\nA: " + "3" * 50) - 1


def test_a_generated_text_needs_room_for_one_token(bench):
    prepared = bench.prepared("sums")
    sizes = [bytes_of(prompt.contexts[0]) for prompt in prepared.prompts]
    assert not any(one.too_long for one in build_requests(prepared, TOKENIZER, max(sizes) + 1, 0))
    tight = build_requests(prepared, TOKENIZER, max(sizes), 0)
    assert [one.too_long for one in tight] == [size == max(sizes) for size in sizes]
    assert [one.tokens for one in tight] == sizes


def as_lm_eval(prepared, max_tokens=6):
    settings = prepared.selected.spec.generation.model_copy(
        update={"backend": "lm_eval_hf", "max_tokens": max_tokens}
    )
    spec = prepared.selected.spec.model_copy(update={"generation": settings})
    selected = replace(prepared.selected, spec=spec)
    prompts = [replace(one, generation=settings.settings()) for one in prepared.prompts]
    changed = replace(prepared, selected=selected)
    changed.__dict__["prompts"] = prompts
    return changed


def test_a_prompt_of_lm_evals_backend_loses_its_beginning_to_leave_room_for_the_answer(bench):
    prepared = as_lm_eval(bench.prepared("sums"))
    sizes = [bytes_of(prompt.contexts[0]) for prompt in prepared.prompts]
    for window in (max(sizes) + 6, max(sizes) + 5, 20, 7):
        asked = build_requests(prepared, TOKENIZER, window, 0)
        assert [one.shortened for one in asked] == [size + 6 > window for size in sizes]
        for one, prompt in zip(asked, prepared.prompts, strict=True):
            [request] = one.requests
            [whole] = TOKENIZER.encode([prompt.contexts[0]], special_tokens=False)
            assert request.context == tuple(whole[-(window - 6) :])
            assert (request.backend, one.tokens) == ("lm_eval_hf", len(whole))
    [first, *_] = build_requests(prepared, TOKENIZER, 6, 0)
    assert first.problem == "the answer may have 6 tokens, but the context window has 6"
    assert not any(one.shortened for one in build_requests(prepared, TOKENIZER, None, 0))


def test_no_window_has_no_limit(bench):
    prepared = with_question(bench.prepared("quiz"), 0, MultipleChoice("x" * 100_000, ("2", "3"), 0))
    assert not build_requests(prepared, TOKENIZER, None, 0)[0].too_long


@pytest.mark.parametrize(("address", "margin"), [("quiz:letters", -1), ("sums", 1)])
def test_shots_are_dropped_from_the_end_until_the_document_fits(bench, address, margin):
    prepared = with_spec(bench.prepared(address), overlong="drop_shots")
    most = prepared.selected.spec.shots.count
    sizes = [
        [
            bytes_of(p.contexts[0] + (p.continuations or ("",))[0]) + margin
            for p in (prepared.prompt(d, s) for s in range(most + 1))
        ]
        for d in range(len(prepared.documents))
    ]
    for window in range(min(map(min, sizes)) - 1, max(map(max, sizes)) + 1):
        for place, one in enumerate(build_requests(prepared, TOKENIZER, window, 0)):
            fitting = [shots for shots in range(most + 1) if sizes[place][shots] <= window]
            assert one.too_long == (not fitting)
            assert one.shots == (max(fitting) if fitting else most)
            assert one.prompt == prepared.prompt(place, one.shots)


@pytest.mark.parametrize(("join", "unread"), [("joined", 0), ("apart", 1)])
def test_a_context_is_cut_at_its_beginning_until_it_fits_with_the_continuation(bench, join, unread):
    prepared = with_spec(bench.prepared("quiz:letters"), overlong="cut", join=join)
    whole = build_requests(prepared, TOKENIZER, None, 0)
    longest = max(len(r.context) + len(r.continuation) for one in whole for r in one.requests)
    for window in (3, longest // 2, longest - 1, longest):
        for before, after in zip(whole, build_requests(prepared, TOKENIZER, window, 0), strict=True):
            sizes = [len(r.context) + len(r.continuation) for r in before.requests]
            assert after.shortened == (max(sizes) > window + unread)
            for one, other in zip(before.requests, after.requests, strict=True):
                assert other.continuation == one.continuation
                kept = min(len(one.context), window + unread - len(one.continuation))
                assert other.context == one.context[len(one.context) - kept :]
    assert all(one.too_long for one in build_requests(prepared, TOKENIZER, 2 - unread, 0))


def test_without_leave_no_shot_is_dropped(bench):
    prepared = bench.prepared("sums")
    size = bytes_of(prepared.prompts[0].contexts[0])
    first = build_requests(prepared, TOKENIZER, size, 0)[0]
    assert first.too_long
    assert first.shots == 2
    assert first.prompt == prepared.prompts[0]


def test_greedy_requests_do_not_depend_on_the_seed_and_sampled_ones_do(bench):
    greedy = bench.prepared("sums")
    assert build_requests(greedy, TOKENIZER, None, 7) == build_requests(greedy, TOKENIZER, None, 8)
    sampled = with_spec(greedy, generation=GenerationSpec(temperature=0.5, top_p=0.9))
    for seed in (0, 7):
        requests = generate_requests(build_requests(sampled, TOKENIZER, None, seed))
        assert {(one.seed, one.temperature, one.top_p) for one in requests} == {(seed, 0.5, 0.9)}


def test_a_greedy_request_has_one_spelling_whatever_top_p_says(bench):
    plain, spelled = (
        with_spec(bench.prepared("sums"), generation=GenerationSpec(top_p=top_p)) for top_p in (1.0, 0.5)
    )
    assert [one.requests for one in build_requests(plain, TOKENIZER, None, 1)] == [
        one.requests for one in build_requests(spelled, TOKENIZER, None, 2)
    ]


def test_n_samples_are_n_requests_in_order(bench):
    prepared = with_spec(bench.prepared("sums"), generation=GenerationSpec(temperature=1.0, samples=4))
    for one in build_requests(prepared, TOKENIZER, None, 0):
        assert [request.sample for request in one.requests] == [0, 1, 2, 3]
        assert len({replace(request, sample=0) for request in one.requests}) == 1


def test_generation_carries_the_specs_stops_and_limit(bench):
    for request in generate_requests(build_requests(bench.prepared("sums"), TOKENIZER, None, 0)):
        assert (request.stop, request.max_tokens) == (("\n",), 6)


def test_equal_requests_of_several_documents_are_asked_once(bench):
    prepared = bench.prepared("quiz")
    twice = build_requests(prepared, TOKENIZER, None, 0) * 2
    assert len(score_requests(twice)) == 3 * len(prepared.documents)
    assert all(isinstance(one, ScoreRequest) for one in score_requests(twice))
    assert generate_requests(twice) == []
    sums = build_requests(bench.prepared("sums"), TOKENIZER, None, 0)
    assert len(generate_requests([*twice, *sums])) == len(sums)
    assert all(isinstance(one, GenerateRequest) for one in generate_requests(sums))


class Deaf(ByteTokenizer):
    """Has no token for `¤`, as a tokenizer that drops what it does not know."""

    def encode(self, texts, *, special_tokens):
        return super().encode([text.replace("¤", "") for text in texts], special_tokens=special_tokens)


def test_an_empty_choice_costs_only_its_own_document(bench):
    prepared = with_spec(bench.prepared("quiz"), delimiter="")
    whole = build_requests(prepared, TOKENIZER, None, 0)
    asked = build_requests(
        with_question(prepared, 2, MultipleChoice("1 + 1?", ("2", ""), 0)), TOKENIZER, None, 0
    )
    assert "Empty continuation" in asked[2].problem
    assert (asked[2].requests, asked[2].too_long) == ((), False)
    assert asked[:2] + asked[3:] == whole[:2] + whole[3:]


def test_a_choice_that_encodes_to_nothing_after_nothing_costs_only_its_own_document(bench):
    prepared = with_spec(bench.prepared("quiz"), question="{{ stem }}", delimiter="")
    asked = build_requests(with_question(prepared, 2, MultipleChoice("¤", ("¤", "¤¤"), 0)), Deaf(), None, 0)
    assert "no token" in asked[2].problem
    assert [bool(one.problem) for one in asked] == [place == 2 for place in range(len(asked))]


def test_a_question_without_choices_is_a_problem_of_its_document(bench):
    prepared = with_question(bench.prepared("quiz"), 2, MultipleChoice("1 + 1?", (), 0))
    asked = build_requests(prepared, TOKENIZER, None, 0)
    assert asked[2].problem
    assert not asked[2].too_long
    assert not any(one.problem for one in asked[3:])


def test_a_prompt_that_encodes_to_nothing_is_a_problem_of_its_document(bench):
    prepared = with_spec(bench.prepared("sums"), question="{{ stem }}")
    unshot = replace(prepared, shots=[[] for _ in prepared.documents])
    silent = with_question(unshot, 0, OpenAnswer("¤", ("1",)))
    asked = build_requests(silent, Deaf(), 100, 0)
    assert "no token" in asked[0].problem
    assert (asked[0].requests, asked[0].too_long) == ((), False)
    assert all(one.requests for one in asked[1:])


def test_no_documents_are_no_requests(bench):
    assert build_requests(replace(bench.prepared("quiz"), documents=[], shots=[]), TOKENIZER, 10, 0) == []


class Lowering(ByteTokenizer):
    """Reads capital letters as small ones."""

    def encode(self, texts, *, special_tokens):
        return super().encode([text.lower() for text in texts], special_tokens=special_tokens)


class Strict(ByteTokenizer):
    """Raises for a sign that it does not know, as code that comes with a model may."""

    def encode(self, texts, *, special_tokens):
        if any("¤" in text for text in texts):
            raise ValueError("The tokenizer cannot read the text (KeyError: '¤')")
        return super().encode(texts, special_tokens=special_tokens)


@pytest.mark.parametrize(
    ("tokenizer", "question", "said"),
    [
        (Lowering(), MultipleChoice("1 + 1?", ("Two", "two"), 0), "' Two' and ' two' have the same tokens"),
        (Strict(), MultipleChoice("1 ¤ 1?", ("2", "3"), 0), "KeyError"),
        (TOKENIZER, MultipleChoice("1 + 1?", ("\ud83d", "3"), 0), "U+D83D"),
    ],
)
def test_a_document_that_cannot_be_told_in_tokens_costs_only_itself(bench, tokenizer, question, said):
    asked = build_requests(with_question(bench.prepared("quiz"), 2, question), tokenizer, None, 0)
    assert said in asked[2].problem
    assert asked[2].requests == ()
    assert [bool(one.problem) for one in asked] == [place == 2 for place in range(len(asked))]


def test_choices_of_equal_text_are_no_problem(bench):
    asked = build_requests(
        with_question(bench.prepared("quiz"), 2, MultipleChoice("1 + 1?", ("2", "2"), 0)), TOKENIZER, None, 0
    )
    assert not asked[2].problem


def test_a_bos_token_that_the_tokenizer_lacks_is_a_problem_of_each_document(bench):
    asked = build_requests(with_spec(bench.prepared("quiz"), bos="always"), TOKENIZER, None, 0)
    assert all("BOS" in one.problem for one in asked)
