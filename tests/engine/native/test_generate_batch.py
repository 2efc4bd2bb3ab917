import pytest
import torch

from evalsuite.engine.native.generate_batch import generate_batch
from evalsuite.engine.native.models.nemotron_h import restore_time_step_limit
from evalsuite.types import Failure, GenerateRequest
from tests.engine.tiny import (
    EOS,
    byte_tokenizer,
    greedy_alone,
    loaded,
    tiny_gpt2,
    tiny_hybrids,
    tiny_llama,
    tiny_nemotron_h,
)

PROMPTS = [(5, 6, 7, 8, 9, 10, 11), (20, 21), (30,), (40, 41, 42, 43)]


class Bytes:
    """The byte tokenizer behind the protocol; ids beyond it are shown as a question mark."""

    eos_id = EOS
    bos_id, bos_text = 0, "<s>"
    _tokenizer = byte_tokenizer()

    special_texts = {0: "<s>", 1: "</s>"}  # noqa: RUF012 - it stays as it is

    def decode(self, ids, *, special_tokens=False, clean_up=False):
        return self._tokenizer.decode([min(i, 257) for i in ids], skip_special_tokens=not special_tokens)


def answers_of(model, batch, max_length=64):
    done = [one for block in generate_batch(loaded(model), Bytes(), max_length, batch) for one in block]
    assert len(done) == len(batch)
    return dict(done)


def greedy(context, count=12, stop=()):
    return GenerateRequest(context, stop, count)


def until_end(ids):
    return ids[: ids.index(EOS)] if EOS in ids else ids


@pytest.mark.parametrize("make", [tiny_llama, tiny_gpt2, tiny_nemotron_h])
def test_greedy_text_of_a_batch_is_that_of_a_full_pass_per_token(make):
    model = make()
    if make is tiny_nemotron_h:
        restore_time_step_limit(model)
    answers = answers_of(model, [greedy(prompt) for prompt in PROMPTS])
    for request, answer in answers.items():
        alone = greedy_alone(model, request.context, 12)
        assert answer.text == Bytes().decode(until_end(alone))


@pytest.mark.parametrize("family", ["mamba", "mamba2", "bamba", "falcon_h1", "gemma3"])
def test_recurrent_and_sliding_caches_survive_padding_and_compaction(family):
    model = tiny_hybrids()[family].eval()
    batch = [greedy(prompt, count) for prompt, count in zip(PROMPTS, [3, 12, 1, 9], strict=True)]
    for request, answer in answers_of(model, batch).items():
        alone = greedy_alone(model, request.context, request.max_tokens)
        assert answer.text == Bytes().decode(until_end(alone))


@pytest.mark.parametrize("make", [tiny_llama, tiny_nemotron_h])
def test_rows_that_finish_early_leave_the_others_undisturbed(make):
    model = make()
    lengths = [3, 20, 1, 9]
    batch = [greedy(prompt, count) for prompt, count in zip(PROMPTS, lengths, strict=True)]
    together = answers_of(model, batch)
    for request in batch:
        assert together[request] == answers_of(model, [request])[request]


def test_a_stop_string_ends_its_own_row_and_is_not_part_of_the_text():
    model = tiny_llama()
    text = answers_of(model, [greedy(PROMPTS[0])])[greedy(PROMPTS[0])].text
    stop = text[4:6]
    stopped, free = greedy(PROMPTS[0], stop=("never", stop)), greedy(PROMPTS[1], stop=("never",))
    answers = answers_of(model, [stopped, free])
    assert answers[stopped].text == text[: text.index(stop)]
    assert answers[stopped].finish == "stop"
    assert answers[stopped].tokens < 12
    assert answers[free].tokens == 12


def test_the_end_token_ends_a_row_without_being_part_of_the_text():
    model = tiny_llama()
    with torch.no_grad():
        model.lm_head.weight.zero_()
        model.lm_head.weight[EOS] = 0
    model.generation_config.eos_token_id = [0, EOS]
    answer = answers_of(model, [greedy(PROMPTS[0])])[greedy(PROMPTS[0])]
    assert (answer.text, answer.tokens, answer.finish) == ("", 1, "eos")


def test_max_tokens_and_the_context_window_are_told_apart():
    model = tiny_gpt2()
    model.generation_config.eos_token_id = None
    batch = [greedy(PROMPTS[0], 3), greedy(PROMPTS[0], 500), greedy(PROMPTS[2], 500)]
    answers = answers_of(model, batch)
    assert [(answers[one].tokens, answers[one].finish) for one in batch if answers[one].finish != "eos"] == [
        (3, "length"),
        (57, "window"),
        (63, "window"),
    ]


def test_a_text_without_finite_logits_fails_and_the_others_are_as_they_were():
    model = tiny_llama()
    batch = [greedy(prompt) for prompt in PROMPTS]
    before = answers_of(model, batch)
    ill = greedy((*PROMPTS[1], 200), 12)
    with torch.no_grad():
        model.model.embed_tokens.weight[200] = torch.nan
    after = answers_of(model, [*batch, ill])
    assert isinstance(after[ill], Failure)
    assert "NaN or infinity" in after[ill].reason
    said = [one for one in batch if before[one].text != after[one].text]
    assert said == [one for one in batch if 200 in greedy_alone(model, one.context, 12)] == []


def test_samples_do_not_depend_on_the_batch():
    model = tiny_llama()
    batch = [
        GenerateRequest(prompt, (), 10, 1.0, 0.95, 0, sample) for prompt in PROMPTS for sample in range(3)
    ]
    together = answers_of(model, batch)
    assert together == {one: answers_of(model, [one])[one] for one in batch}
    assert len({answer.text for answer in together.values()}) > 8


def test_answers_come_as_rows_finish():
    blocks = list(
        generate_batch(loaded(tiny_llama()), Bytes(), None, [greedy(PROMPTS[0], 2), greedy(PROMPTS[1], 6)])
    )
    assert [len(block) for block in blocks] == [1, 1]
