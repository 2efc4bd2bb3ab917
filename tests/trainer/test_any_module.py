"""Modules of no library: in padded batches if a trial agrees, else in rows of equal length, or refused."""

from types import SimpleNamespace

import pytest
import torch
from tokenizers import Tokenizer

from evalsuite import UserError
from evalsuite.engine.live.logits_module import LogitsModule
from evalsuite.engine.live.module_engine import ModuleEngine, module_window
from evalsuite.engine.live.tokenizer import LiveTokenizer
from evalsuite.engine.protocol import answers_in
from evalsuite.types import GenerateRequest, ScoreRequest
from tests.engine.tiny import byte_tokenizer, tiny_llama
from tests.runs.bench import ADDRESSES
from tests.trainer.audit import differences, state_of
from tests.trainer.models import Plain

SCORES = [ScoreRequest(tuple(range(9, 9 + count)), (3, 4 + count)) for count in (1, 5, 5, 8, 2)]
TEXTS = [GenerateRequest(tuple(range(7, 7 + count)), (), 5) for count in (3, 9, 1)]


def log_probs(module: torch.nn.Module, request: ScoreRequest) -> list[float]:
    ids = torch.tensor([[*request.context, *request.continuation[:-1]]])
    rows = module(ids)[0].log_softmax(-1)[len(request.context) - 1 :]
    return [float(row[token]) for row, token in zip(rows, request.continuation, strict=True)]


def greedy(module: torch.nn.Module, request: GenerateRequest) -> str:
    ids = [*request.context]
    while len(ids) < len(request.context) + request.max_tokens:
        ids.append(int(module(torch.tensor([ids]))[0, -1].argmax()))
    return byte_tokenizer().decode(ids[len(request.context) :], skip_special_tokens=True)


def engine_of(module: torch.nn.Module, **options) -> ModuleEngine:
    return ModuleEngine(LogitsModule(module, "mine"), LiveTokenizer(byte_tokenizer()), "none", **options)


@pytest.mark.parametrize("pads", [True, False])
@torch.no_grad()
def test_scores_and_texts_are_those_of_single_rows(pads):
    module = Plain(pads=pads).eval()
    engine = engine_of(module, max_length=100)
    engine.load()
    assert engine.identity.numerics.split() == ["module", "float32", "cpu", *([] if pads else ["rows"])]
    found = dict(answers_in(engine.score([*dict.fromkeys(SCORES)])))
    for request in SCORES:
        assert found[request].log_probs == pytest.approx(log_probs(module, request), abs=1e-5)
    texts = dict(answers_in(engine.generate(TEXTS)))
    assert [texts[request].text for request in TEXTS] == [greedy(module, request) for request in TEXTS]


def test_a_batch_that_does_not_fit_into_memory_is_divided():
    module, sizes = Plain().eval(), []

    def full(_module, inputs, _output) -> None:
        sizes.append(len(inputs[0]))
        if len(sizes) > 6 and len(inputs[0]) > 1:
            raise torch.OutOfMemoryError("planted")

    engine = engine_of(module)
    engine.load()
    expected = dict(answers_in(engine.score(SCORES[:2])))
    module.register_forward_hook(full)
    sizes += [0] * 6
    found = dict(answers_in(engine.score(SCORES[:2])))
    assert sizes[6:] == [2, 1, 1]
    for request in SCORES[:2]:
        assert found[request].log_probs == pytest.approx(expected[request].log_probs, abs=1e-5)
    assert len(dict(answers_in(engine.generate(TEXTS)))) == 3


def test_a_module_is_left_as_it_was_also_what_its_passes_write(evaluator_of):
    module = Plain().train()
    before = state_of(module)
    log = evaluator_of()(module, step=1)
    assert differences(before, state_of(module)) == []
    assert log.status == "complete"
    assert module.longest == 0
    assert any("context window is not known" in note for note in log.notes)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda module, ids: module(ids)[:, -1:], r"gave \(1, 1, 260\) for token ids of shape \(1, 19\)"),
        (lambda module, ids: (module(ids), None), "gave tuple"),
        (lambda module, ids: module(ids + 10**6), "failed in a forward pass: IndexError"),
    ],
)
def test_what_is_not_logits_is_refused_with_a_sentence(call, said, evaluator_of):
    with pytest.raises(UserError, match=said):
        evaluator_of(logits=call)(Plain())


def test_a_module_that_looks_ahead_is_refused(evaluator_of):
    with pytest.raises(UserError, match="no causal language model"):
        evaluator_of()(Plain(causal=False))


def test_logits_come_as_a_tensor_an_attribute_or_by_an_adapter(evaluator_of):
    class Other(Plain):
        def forward(self, ids):
            return SimpleNamespace(logits=super().forward(ids))

    class Pair(Plain):
        def forward(self, ids):
            return super().forward(ids), None

    logs = [
        evaluator_of()(Plain()),
        evaluator_of()(Other()),
        evaluator_of(logits=lambda module, ids: module(ids)[0])(Pair()),
    ]
    assert len({str([task.metrics for task in log.tasks]) for log in logs}) == 1


def test_autocast_is_a_numerics_class_of_its_own(evaluator_of):
    log = evaluator_of(autocast="bfloat16")(tiny_llama())
    assert log.model.numerics == "module bfloat16 cpu weights-float32"


def test_a_tokenizer_of_the_tokenizers_library_will_do(evaluator_of):
    backend = byte_tokenizer().backend_tokenizer
    assert isinstance(backend, Tokenizer)
    log = evaluator_of(ADDRESSES[:1], tokenizer=backend, max_length=64)(Plain())
    assert log.task("quiz").metrics


def test_the_window_of_a_configuration_of_any_kind_is_found():
    assert module_window(SimpleNamespace(block_size=77)) == 77
    assert module_window({"max_seq_len": 5}) == 5
    assert module_window(None) is None
