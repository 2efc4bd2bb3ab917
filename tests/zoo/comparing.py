"""One architecture: a tiny random model of it, answered by the engine and by plain forward passes."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers

from evalsuite.checkpoints import resolve
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.models import support_for
from evalsuite.engine.protocol import answers_in
from evalsuite.errors import UserError
from evalsuite.types import Failure, GenerateRequest, Score, ScoreRequest
from tests.zoo.configurations import BOS, EOS, PAD, VOCABULARY, small_config

LARGEST = 2_000_000
"""Parameters of a model that counts as tiny; what stays larger has sizes that are not known here."""
LARGEST_DIFFERENCE = 1e-4
"""Of a log-probability, as a share of the largest logit: float32's rounding, over a few layers."""
NEAR_TIE = 1e-3
"""Of the largest logit: a token that leads by less may be another one."""
TEXT_TOKENS = 10

Ids = tuple[int, ...]


@dataclass(frozen=True)
class Outcome:
    """What became of an architecture."""

    family: str
    scoring: str
    """"packed", "batches", "single rows", "refused" or "not built"."""
    texts: str
    """"slots", "batches", "single rows", "refused" or "not built"."""
    reason: str
    """Why it takes no better form; empty for packed trees and slots."""
    wrong: str = ""
    """What differs from plain forward passes; empty if nothing does."""


def compare(family: str, window: int) -> Outcome:
    """Build a tiny model of a `model_type`, score and continue some requests, and hold them against plain
    passes."""
    try:
        model = random_model(family, window)
    except Exception as error:  # configurations of other people's classes raise errors of every kind
        reason = str(error).strip().split("\n")[-1] or type(error).__name__
        return Outcome(family, "not built", "not built", reason[:120])
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        letters().save_pretrained(folder)
        engine = TransformersEngine(resolve(folder), device="cpu", dtype="float32")
        plain = plain_model(Path(folder), family)
        return answered(family, engine, plain)


def letters() -> transformers.PreTrainedTokenizerFast:
    """A letter for each token, so that texts are equal where tokens are."""
    names = [chr(0x4E00 + number) for number in range(VOCABULARY)]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({name: number for number, name in enumerate(names)}, unk_token=names[2])
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = tokenizers.decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=names[BOS], eos_token=names[EOS], pad_token=names[PAD]
    )


def random_model(family: str, window: int) -> torch.nn.Module:
    """Every parameter random, so that a head or a group that is taken for another shows."""
    config = small_config(family, window)
    auto = transformers.AutoModelForCausalLM
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in auto.from_config(config).parameters())
    if size > LARGEST:
        raise ValueError(f"no tiny model: {size:,} parameters")
    torch.manual_seed(0)
    model = auto.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("dt_bias"):
                parameter.uniform_(-5, 1)
            elif parameter.ndim == 1 or 1 in parameter.shape:
                parameter.add_(torch.rand_like(parameter) - 0.5)
            else:
                parameter.normal_(0, 0.2)
        for name, buffer in model.named_buffers():
            if name.endswith("correction_bias"):
                buffer.uniform_(-0.1, 0.1)
    return model


def plain_model(folder: Path, family: str) -> Any:
    """The same folder by transformers alone, corrected where transformers is known to be wrong."""
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    support_for(family).patch(model)
    return model


def answered(family: str, engine: TransformersEngine, plain: Any) -> Outcome:
    """The engine's forms and answers; wrong where a plain pass of a single row has something else."""
    scores, texts = requests(), contexts()
    wrong: list[str] = []
    scoring = writing = "refused"
    reasons: list[str] = []
    try:
        wrong += wrong_scores(plain, dict(answers_in(engine.score(scores))), scores)
        scoring = form_of(engine, "score", "packed")
    except Exception as error:  # the engine must refuse in words, not by any error
        reasons.append(told(error, engine.files.name))
    try:
        asked = [GenerateRequest(context, (), TEXT_TOKENS) for context in texts]
        wrong += wrong_texts(plain, engine, dict(answers_in(engine.generate(asked))), asked)
        writing = form_of(engine, "texts", "slots")
    except Exception as error:
        reasons.append(told(error, engine.files.name))
    kept = (
        [note for note in engine.notes if note.startswith(("scored", "texts"))]
        if (scoring, writing) != ("packed", "slots")
        else []
    )
    return Outcome(
        family, scoring, writing, "; ".join(dict.fromkeys([*reasons, *kept])), "; ".join(wrong[:2])
    )


def told(error: Exception, folder: str) -> str:
    """A refusal in a sentence, without the folder's name; or the kind of an error that was not foreseen."""
    words = str(error).strip().split("\n")[0].replace(f"Model '{folder}' ", "It ")
    return words if isinstance(error, ValueError | UserError) else f"{type(error).__name__}: {words}"


def form_of(engine: TransformersEngine, kind: str, best: str) -> str:
    """In which form scores or texts were computed, by the engine's notes."""
    start = {"score": "scored ", "texts": "texts are generated "}[kind]
    notes = [note for note in engine.notes if note.startswith(start) and "CUDA graphs" not in note]
    if not notes:
        return best
    said = notes[0].partition(":")[0]
    worse = {
        "at a time": "single rows",
        "a pass over all": "full passes",
        "one length": "batches of one length",
    }
    return next((form for words, form in worse.items() if words in said), "batches")


def requests() -> list[ScoreRequest]:
    """Questions behind two shared beginnings, of a window's length and longer, and short ones."""
    random = torch.Generator().manual_seed(7)

    def some(count: int) -> Ids:
        return tuple(torch.randint(3, VOCABULARY - 16, (count,), generator=random).tolist())

    first = some(44)
    second = first[:20] + some(25)
    asked = [(first + some(own), some(new)) for own in (3, 12, 25) for new in (1, 4)]
    asked += [(second + some(7), some(new)) for new in (1, 2)]
    asked += [(some(own), some(3)) for own in (1, 6, 100)]
    return [ScoreRequest(context, continuation) for context, continuation in asked]


def contexts() -> list[Ids]:
    """Beginnings of texts: of unequal length behind one prefix, short and long."""
    found = [request.context for request in requests()]
    return [found[0], found[2], found[6], found[-2], found[-1]]


@torch.inference_mode()
def plain_logits(model: Any, ids: Sequence[int]) -> torch.Tensor:
    """(tokens, vocabulary) of one row by itself, without a cache where the model lets it."""
    output = model(input_ids=torch.tensor([ids]))
    return (output.logits if hasattr(output, "logits") else output[0])[0].float()


def wrong_scores(plain: Any, found: dict[Any, Any], asked: Sequence[ScoreRequest]) -> list[str]:
    """In words, which answers are not those of plain passes."""
    wrong = []
    for request in asked:
        logits = plain_logits(plain, (request.context + request.continuation)[:-1])
        at = torch.arange(len(request.continuation)) + len(request.context) - 1
        expected = logits.log_softmax(-1)[at, torch.tensor(request.continuation)]
        score = found[request]
        if not isinstance(score, Score):
            wrong.append(f"no score: {score.reason}")
            continue
        off = (torch.tensor(score.log_probs) - expected).abs().max().item()
        if not off <= LARGEST_DIFFERENCE * max(1.0, logits.abs().max().item()):
            wrong.append(f"a log-probability after {len(request.context)} tokens is off by {off:.2g}")
    return wrong


def wrong_texts(
    plain: Any, engine: TransformersEngine, found: dict[Any, Any], asked: Sequence[GenerateRequest]
) -> list[str]:
    """In words, which texts are greedy neither by plain passes nor by transformers' own `generate`.

    These differ where a family's positions do (RoBERTa's begin behind its padding token, but not in
    `generate`).
    """
    wrong = []
    for request in asked:
        answer = found[request]
        if isinstance(answer, Failure):
            wrong.append(f"no text: {answer.reason}")
            continue
        ids, tied = greedy(plain, request.context)
        expected = engine.tokenizer.decode(ids)
        same = answer.text.startswith(expected) if tied else answer.text == expected
        if not same and answer.text != engine.tokenizer.decode(generated(plain, request.context)):
            wrong.append(f"a text after {len(request.context)} tokens is another")
    return wrong


def greedy(plain: Any, context: Ids) -> tuple[Ids, bool]:
    """Greedy tokens by a pass over everything for each; whether they end before a token that another nearly
    ties with."""
    ids, ends = context, end_tokens(plain)
    while len(ids) < len(context) + TEXT_TOKENS:
        logits = plain_logits(plain, ids)[-1]
        first, second = logits.topk(2).values.tolist()
        if first - second < NEAR_TIE * max(1.0, logits.abs().max().item()):
            return ids[len(context) :], True
        if int(logits.argmax()) in ends:
            break
        ids += (int(logits.argmax()),)
    return ids[len(context) :], False


@torch.inference_mode()
def generated(plain: Any, context: Ids) -> Ids:
    """The same by transformers' `generate`, one row at a time."""
    row = torch.tensor([context])
    options = {"do_sample": False, "num_beams": 1, "max_new_tokens": TEXT_TOKENS}
    ids = plain.generate(row, attention_mask=torch.ones_like(row), **options)[0, len(context) :].tolist()
    ends = end_tokens(plain)
    return tuple(takewhile(lambda one: one not in ends, ids))


def end_tokens(plain: Any) -> set[int]:
    """The tokenizer's, and those of the model's generation configuration."""
    ids = plain.generation_config.eos_token_id
    return {EOS, *([ids] if isinstance(ids, int) else ids or [])}
