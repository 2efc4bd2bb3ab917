"""Inside the Trainer of transformers: scores in its log, and the same training as without them."""

import shutil

import pytest
import torch
from transformers import Trainer, TrainingArguments

from evalsuite import UserError
from tests.runs.bench import ADDRESSES
from tests.trainer.models import with_dropout


class Texts(torch.utils.data.Dataset):
    """Random token ids as their own labels."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = torch.randint(5, 200, (12,), generator=torch.Generator().manual_seed(index))
        return {"input_ids": ids, "labels": ids}


@pytest.fixture
def trainer_of(tmp_path):
    """Makes a Trainer for four steps in bfloat16 under autocast."""

    def make(**options) -> Trainer:
        arguments = TrainingArguments(
            str(tmp_path / "trained"),
            max_steps=4,
            per_device_train_batch_size=2,
            logging_steps=1,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
            bf16=True,
            **options,
        )
        return Trainer(with_dropout(), arguments, train_dataset=Texts(), eval_dataset=Texts())

    return make


def losses(trainer: Trainer) -> list[float]:
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def scored(trainer: Trainer, name: str) -> list[int]:
    """The steps with a score of this name in the Trainer's log."""
    return [entry["step"] for entry in trainer.state.log_history if name in entry]


def test_scores_are_in_the_trainers_log_and_the_training_is_the_same(trainer_of, evaluator_of):
    plain = trainer_of()
    plain.train()
    watched, evaluator = trainer_of(), evaluator_of()
    evaluator.add_to(watched, every=2)
    watched.train()
    assert scored(watched, "quiz/acc_norm") == scored(watched, "sums/exact_match") == [2, 4]
    assert losses(watched) == losses(plain)
    last = evaluator(watched.model)
    logged = [entry for entry in watched.state.log_history if "quiz/acc_norm" in entry][-1]
    assert logged["quiz/acc_norm"] == last.task("quiz").metrics["acc_norm"].value


def test_the_scores_can_come_with_the_trainers_own_evaluations(trainer_of, evaluator_of):
    trainer = trainer_of(eval_strategy="steps", eval_steps=3)
    evaluator_of(ADDRESSES[:1]).add_to(trainer, prefix="eval_")
    trainer.train()
    assert scored(trainer, "eval_quiz/acc_norm") == scored(trainer, "eval_loss") == [3, 4]


def test_a_failed_evaluation_does_not_end_the_training(trainer_of, evaluator_of, bench, caplog):
    trainer = trainer_of()
    evaluator_of(ADDRESSES[:1]).add_to(trainer, every=4)
    shutil.rmtree(bench.data / "tiny" if (bench.data / "tiny").exists() else bench.data)
    trainer.train()
    assert len(losses(trainer)) == 4
    assert "The evaluation at step 4 failed, and the training goes on" in caplog.text
    strict = trainer_of()
    evaluator_of(ADDRESSES[:1]).add_to(strict, every=4, strict=True)
    with pytest.raises(UserError):
        strict.train()


def test_a_mistake_is_told_before_the_training(trainer_of, evaluator_of):
    with pytest.raises(UserError, match="at least 1"):
        evaluator_of().add_to(trainer_of(), every=0)
