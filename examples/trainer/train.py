"""A training loop in plain torch with an `evalsuite.Evaluator` in it.

    python examples/trainer/train.py --out trained
    evalsuite trend trained/live/*

Beside it, `evalsuite watch` evaluates the checkpoints that it saves, and gets the same scores:

    evalsuite watch trained/checkpoints --tasks sums,sums_written --include examples/trainer/sums.py \
        --device cpu --out trained/watched
"""

import argparse
import os
import random
from pathlib import Path

import torch
from sums import training_text
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from evalsuite import Evaluator

HERE = Path(__file__).parent
TOKENS_PER_ROW, ROWS = 48, 32


def character_tokenizer() -> PreTrainedTokenizerFast:
    """A token for each character of a sum."""
    vocabulary = {text: index for index, text in enumerate(["<s>", "</s>", *"0123456789+=\n"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


def model_for(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of 0.3 million weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=128,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config)


class Batches:
    """Rows of token ids from an endless text."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._lines = training_text(random.Random(1))
        self._tokenizer = tokenizer
        self._left: list[int] = []

    def next(self) -> torch.Tensor:
        """(rows, tokens + 1) ids."""
        wanted = ROWS * (TOKENS_PER_ROW + 1)
        while len(self._left) < wanted:
            text = "".join(next(self._lines) for _ in range(500))
            self._left += self._tokenizer(text, add_special_tokens=False)["input_ids"]
        batch, self._left = self._left[:wanted], self._left[wanted:]
        return torch.tensor(batch).view(ROWS, -1)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write a checkpoint beside its place and put it there as a whole."""
    unfinished = folder.with_name(f".{folder.name}")
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    os.replace(unfinished, folder)


def train(out: Path, steps: int, every: int, *, evaluated: bool = True) -> list[float]:
    """Train, save and evaluate; the losses of all steps.

    Args:
        out: gets `checkpoints/step-N` and the run folders `live/step-N`.
        steps: training steps.
        every: steps between two checkpoints and evaluations.
        evaluated: evaluate; the losses are the same without.
    """
    tokenizer = character_tokenizer()
    model = model_for(tokenizer)
    evaluator = Evaluator("sums,sums_written", tokenizer, include=[HERE / "sums.py"], out=out / "live")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    batches = Batches(tokenizer)
    (out / "checkpoints").mkdir(parents=True, exist_ok=True)
    losses = []
    model.train()
    for step in range(1, steps + 1):
        ids = batches.next()
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        losses.append(loss.item())
        if step % every == 0:
            save(model, tokenizer, out / "checkpoints" / f"step-{step}")
            if evaluated:
                log = evaluator(model, step=step)
                scores = {task.name: task.metrics[task.headline].value for task in log.tasks}
                print(f"step {step}: loss {loss.item():.3f}, {scores}", flush=True)
    return losses


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--every", type=int, default=150)
    options = parser.parse_args()
    train(options.out, options.steps, options.every)
