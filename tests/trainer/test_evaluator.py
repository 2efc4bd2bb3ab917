"""A live model is evaluated as its saved checkpoint is, and left as it was."""

import gc
import shutil
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import evalsuite
from evalsuite import Evaluator, UserError
from evalsuite.engine.tokenizer import HuggingFaceTokenizer
from tests.engine.tiny import BOS, EOS, VOCABULARY, byte_tokenizer, save, tiny_llama
from tests.runs.bench import ADDRESSES
from tests.trainer.audit import differences, state_of
from tests.trainer.models import FAMILIES, Plain, with_dropout


def scores(log) -> dict[str, float]:
    return {f"{task.name} {name}": each.value for task in log.tasks for name, each in task.metrics.items()}


def train_step(model: torch.nn.Module, optimizer=None) -> float:
    """A step on random tokens, from torch's global generator as a trainer's data loader draws them."""
    ids = torch.randint(5, VOCABULARY, (2, 16))
    output = model(ids) if isinstance(model, Plain) else model(input_ids=ids).logits
    loss = torch.nn.functional.cross_entropy(output[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())
    loss.backward()
    if optimizer:
        optimizer.step()
        optimizer.zero_grad()
    return float(loss.detach())


def checkpoint_scores(model, bench, folder: Path) -> dict[str, float]:
    """Scores of the same weights by a run of their own."""
    inner = getattr(model, "_orig_mod", model)
    save(inner, folder / "checkpoint")
    options = {"data": bench.data, "include": [bench.plugin], "device": "cpu", "out": folder / "run"}
    return scores(
        evalsuite.run(list(ADDRESSES), str(folder / "checkpoint"), dtype=str(inner.dtype)[6:], **options)
    )


EVERYDAY = ("llama", "dropout", "accelerate")


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name in EVERYDAY else pytest.mark.slow) for name in FAMILIES]
)
def test_a_live_model_is_left_as_it_was_and_scored_as_its_checkpoint(family, evaluator_of, bench, tmp_path):
    model = FAMILIES[family]().train()
    train_step(model)
    before = state_of(model)
    log = evaluator_of()(model, step=10)
    assert differences(before, state_of(model)) == []
    assert log.status == "complete"
    train_step(model)
    if family != "compiled inside":  # transformers saves such layers under other names
        assert scores(log) == pytest.approx(checkpoint_scores(model, bench, tmp_path), abs=1e-6)


@pytest.mark.parametrize("kind", [RuntimeError, KeyboardInterrupt])
def test_a_model_is_left_as_it_was_when_the_evaluation_raises(kind, evaluator_of):
    model, passes, last = tiny_llama().train(), [], 10**9

    def interrupt(*_) -> None:
        passes.append(1)
        if len(passes) > last:
            raise kind("enough")

    model.model.layers[0].register_forward_hook(interrupt)
    train_step(model)
    evaluator_of()(model)
    last, before = 2 * len(passes) - 4, state_of(model)  # behind the trials
    with pytest.raises(kind, match="enough"):
        evaluator_of()(model)
    assert differences(before, state_of(model)) == []


@pytest.mark.parametrize("make", [with_dropout, Plain], ids=["transformers", "any module"])
def test_the_loss_curve_is_bit_for_bit_the_same_with_and_without_evaluations(make, evaluator_of):
    def curve(evaluator: Evaluator | None) -> list[float]:
        torch.manual_seed(1)
        model = make()
        optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
        model.train()
        losses = []
        for step in range(6):
            losses.append(train_step(model, optimizer))
            if evaluator and step % 2:
                evaluator(model, step=step)
        return losses

    assert curve(evaluator_of()) == curve(None)


def test_whatever_the_caller_computes_in_the_scores_are_the_same(evaluator_of):
    model, evaluator = tiny_llama().train(), evaluator_of()
    plain = scores(evaluator(model))
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16), torch.enable_grad():
            before = state_of(model)
            assert scores(evaluator(model)) == plain
            assert differences(before, state_of(model)) == []
    finally:
        torch.set_default_dtype(torch.float32)


def test_documents_and_token_ids_are_made_once(evaluator_of, bench, monkeypatch):
    model, evaluator, texts = tiny_llama(), evaluator_of(), []
    encode = HuggingFaceTokenizer.encode
    monkeypatch.setattr(
        HuggingFaceTokenizer,
        "encode",
        lambda self, given, **options: texts.extend(given) or encode(self, given, **options),
    )
    first = evaluator(model)
    assert texts
    texts.clear()
    shutil.rmtree(bench.data)
    assert scores(evaluator(model)) == scores(first)
    assert not texts


def test_nothing_is_written_unless_a_folder_is_asked_for(evaluator_of, bench, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    evaluator_of()(tiny_llama(), step=5)
    assert [
        path for path in home.rglob("*") if path.is_file() and path.read_bytes() not in (b"{}", b"{}\n")
    ] == []
    evaluator_of(out=tmp_path / "runs")(tiny_llama(), step=5)
    assert evalsuite.read_run(tmp_path / "runs" / "step-5").spec.model == "LlamaForCausalLM/step-5"


def test_the_log_says_that_the_weights_were_not_hashed_and_no_two_of_them_are_the_same(
    evaluator_of, tmp_path
):
    model, evaluator = tiny_llama(), evaluator_of(out=tmp_path)
    first, second = evaluator(model, step=1), evaluator(model, step=2)
    assert first.model.weights_sha256.startswith("unhashed-")
    assert first.model.weights_sha256 != second.model.weights_sha256
    assert first.inputs_sha256 != second.inputs_sha256
    assert any("not hashed" in note for note in first.notes)
    assert first.model.numerics == "transformers float32 cpu packed"
    compared = evalsuite.compare(tmp_path / "step-1", tmp_path / "step-2")
    assert "The weights are the same" not in compared.model_dump_json()


def test_unhashed_answers_of_a_folder_are_never_taken_for_those_of_other_weights(evaluator_of, tmp_path):
    evaluator = evaluator_of(ADDRESSES[:1], out=tmp_path)
    first, second = evaluator(tiny_llama(0), step=1), evaluator(tiny_llama(1), step=1)
    assert scores(second) == scores(evaluator_of(ADDRESSES[:1])(tiny_llama(1)))
    assert scores(first) != scores(second)


def test_hashed_weights_have_a_digest_and_their_answers_are_used_again(evaluator_of, tmp_path):
    evaluator = evaluator_of(digest=True, out=tmp_path)
    first, again = evaluator(tiny_llama(), step=1), evaluator(tiny_llama(), step=1)
    assert len(first.model.weights_sha256) == 64
    assert again == first  # the finished run was read
    assert evaluator_of(digest=True)(tiny_llama(1)).model.weights_sha256 != first.model.weights_sha256


def test_a_series_of_live_runs_is_a_trend(evaluator_of, tmp_path):
    evaluator = evaluator_of(ADDRESSES[:1], out=tmp_path)
    for step, seed in ((100, 0), (200, 1)):
        evaluator(tiny_llama(seed), step=step)
    trend = evalsuite.trend(tmp_path / "step-100", tmp_path / "step-200")
    assert [each.step for each in trend.checkpoints] == [100, 200]
    assert not any("same weights" in note for note in trend.notes)


def test_no_copies_of_the_weights_are_made_and_nothing_is_kept(evaluator_of):
    """Of all tensors that live during the passes of an evaluation, none is as large as one of its weights."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=1024,
        intermediate_size=2048,
        num_hidden_layers=2,
        num_attention_heads=8,
        max_position_embeddings=128,
        bos_token_id=BOS,
        eos_token_id=EOS,
    )
    model, found, passes = LlamaForCausalLM(config).bfloat16(), {}, []
    own = {each.untyped_storage().data_ptr() for each in (*model.parameters(), *model.buffers())}

    def live() -> dict[int, int]:
        tensors = [each for each in gc.get_objects() if type(each) in (torch.Tensor, torch.nn.Parameter)]
        storages = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in tensors}
        return {address: size for address, size in storages.items() if address not in own}

    def look(*_) -> None:
        passes.append(1)
        if len(passes) % 5 == 0:
            found.update({address: size for address, size in live().items() if address not in before})

    before = live()
    model.model.layers[1].register_forward_hook(look)
    evaluator_of(ADDRESSES[:3], limit=1)(model)
    assert len(passes) > 20
    assert 0 < max(found.values()) < 1024 * 1024 * 2  # the smallest of a layer's products
    gc.collect()
    assert sum(live().values()) <= sum(before.values()) + 2**16


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "cuda"}, "The option device is for models that evalsuite loads"),
        ({"limt": 3}, "Did you mean limit"),
        ({"limit": 0}, "--limit must be at least 1"),
        ({"bos": "sometimes"}, "never, tokenizer, always"),
        ({"autocast": "float64"}, "autocast"),
        ({"tasks": "quizz"}, "Did you mean quiz"),
        ({"tokenizer": 5}, "The tokenizer is a int"),
        ({"tokenizer": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"max_length": 4000}, "the model's context window has 128 tokens"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(options, said, evaluator_of):
    with pytest.raises(UserError, match=said):
        evaluator_of(**options)(tiny_llama())


def test_the_users_tokenizer_is_not_changed(evaluator_of):
    tokenizer = byte_tokenizer()
    tokenizer.model_max_length = 77
    evaluator_of(tokenizer=tokenizer)(tiny_llama())
    assert tokenizer.model_max_length == 77
