"""Measures how rounding changes choices: lm-eval's HFLM in half precision, and both `--logits-dtype`s.

    python benchmarks/rounding.py --data DIR [--works mmlu arc_easy hellaswag lambada] [--dtype bfloat16]

Prints a Markdown table. All sides get the same token ids and the same weights; one side computes with these
weights in float32. HFLM pads batches; evalsuite's packs share prefixes; "each input alone" is evalsuite
without both: its hidden states equal HFLM's with a batch of 1, so its scores must be equal, too.

tied: documents whose two best choices are equal to the last bit.
close: documents whose two best choices are closer than the rounding of the numerics
(`evalsuite/results/rounding.py`), which runs report beside the score.
answers: documents whose answer (for lambada: whether all its tokens are the most probable) differs from the
answer with HFLM's batch of 1, and from the answer in float32.
equal: log-likelihoods equal to HFLM's (batch 1) to the last bit; then the largest and the mean difference to
these, in nats, and the mean difference to float32.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hflm import scores_by_hflm
from versus_lm_eval import Workload, selected_documents

from evalsuite.checkpoints import resolve
from evalsuite.engine.native.engine import TransformersEngine
from evalsuite.engine.native.score_batch import score_batch
from evalsuite.engine.placement import ROUNDED_SCORES
from evalsuite.engine.planning.batches import score_rows
from evalsuite.engine.protocol import answers_in
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.build import build_requests
from evalsuite.requests.document import DocumentRequests
from evalsuite.results.aggregate import is_near_tie
from evalsuite.scoring.judge import judge
from evalsuite.types import Sample, Score, ScoreRequest

WORKLOADS = {
    "mmlu": Workload("lm_eval/mmlu@5", 8, members=4),
    "arc_easy": Workload("lm_eval/arc_easy@0", 32),
    "hellaswag": Workload("lm_eval/hellaswag@0", 32),
    "lambada": Workload("lm_eval/lambada_openai@0", 48),
}
BATCH = 8
ALONE = "HFLM, batch 1"
EXACT = f"HFLM, batch {BATCH}, in float32"
FLOAT32 = "evalsuite, float32"
COLUMNS = (
    "work",
    "metric",
    "side",
    "documents",
    "score",
    "tied",
    "close",
    "answers vs batch 1",
    "answers vs float32",
    "equal",
    "largest",
    "mean",
    "mean vs float32",
)
Scores = dict[ScoreRequest, Score]
Side = Callable[[Sequence[ScoreRequest]], Scores]


def sides(name: str, dtype: str) -> dict[str, Side]:
    """The sides by name."""
    plain = TransformersEngine(resolve(name), dtype=dtype, device="cpu")
    rounded = TransformersEngine(resolve(name), dtype=dtype, device="cpu", logits_dtype="model")
    return {
        EXACT: by_hflm(plain, dtype, BATCH, exact=True),
        ALONE: by_hflm(plain, dtype, 1),
        f"HFLM, batch {BATCH}": by_hflm(plain, dtype, BATCH),
        "evalsuite, model, each input alone": lambda requests: each_alone(rounded, requests),
        "evalsuite, model": lambda requests: packed(rounded, requests),
        FLOAT32: lambda requests: packed(plain, requests),
    }


def by_hflm(engine: TransformersEngine, dtype: str, batch: int, *, exact: bool = False) -> Side:
    """HFLM on its own model, loaded by transformers; `exact` computes with the weights in float32."""
    from lm_eval.models.huggingface import HFLM
    from transformers import AutoModelForCausalLM

    files = engine.files
    model: Any = AutoModelForCausalLM.from_pretrained(
        files.folder, gguf_file=files.gguf_file, dtype=getattr(torch, dtype), local_files_only=True
    ).eval()
    if exact:
        torch.nn.Module.float(model)  # transformers' `float` refuses a model from a GGUF file
    hflm = HFLM(pretrained=model, tokenizer=engine.tokenizer._tokenizer, batch_size=batch)

    def answer(requests: Sequence[ScoreRequest]) -> Scores:
        found = scores_by_hflm(hflm, requests)
        return {
            one: Score((total, *[0.0] * (len(one.continuation) - 1)), greedy)
            for one, (total, greedy) in zip(requests, found, strict=True)
        }

    return answer


def packed(engine: TransformersEngine, requests: Sequence[ScoreRequest]) -> Scores:
    """The scores as in a run."""
    found = dict(answers_in(engine.score(requests)))
    return {request: answer for request, answer in found.items() if isinstance(answer, Score)}


def each_alone(engine: TransformersEngine, requests: Sequence[ScoreRequest]) -> Scores:
    """The scores with one input of the model per pass."""
    return {
        one: score for row in score_rows(requests) for one, score in score_batch(engine.model.loaded, [row])
    }


def by_metric(prepared: PreparedTask, metric: str) -> PreparedTask:
    """The task with only this metric, which then decides the answers."""
    selected = prepared.selected
    spec = selected.spec.model_copy(update={"metrics": [metric]})
    return replace(prepared, selected=replace(selected, spec=spec))


def other_answers(some: Sequence[Sample], others: Sequence[Sample]) -> int:
    """Number of documents with different answers."""
    return sum(one.prediction != other.prediction for one, other in zip(some, others, strict=True))


def numerics_of(side: str, dtype: str) -> str:
    """The side's numerics, which determine how far apart its choices must be."""
    return {EXACT: "float32", FLOAT32: dtype}.get(side, f"{dtype} {ROUNDED_SCORES}")


def differences(some: Scores, others: Scores) -> list[float]:
    """Differences of log-likelihoods, in nats."""
    return [abs(score.log_likelihood - others[request].log_likelihood) for request, score in some.items()]


def cells(
    prepared: PreparedTask,
    asked: Sequence[DocumentRequests],
    found: Mapping[str, Scores],
    metric: str,
    dtype: str,
) -> Iterator[tuple[str, ...]]:
    """A row for each side, starting with the metric."""
    task = by_metric(prepared, metric)
    samples = {side: judge(task, asked, answers, None).samples for side, answers in found.items()}
    for side, ones in samples.items():
        margins = [one.margin for one in ones if one.margin is not None]
        apart = differences(found[side], found[ALONE])
        errors = differences(found[side], found[EXACT])
        yield (
            metric,
            side,
            str(len(ones)),
            f"{sum(one.metrics[metric] for one in ones) / len(ones):.4f}",
            str(sum(margin == 0 for margin in margins)) if margins else "—",
            str(sum(is_near_tie(one, numerics_of(side, dtype)) for one in ones)) if margins else "—",
            str(other_answers(ones, samples[ALONE])),
            str(other_answers(ones, samples[EXACT])),
            f"{sum(gap == 0 for gap in apart)} of {len(apart)}",
            f"{max(apart):.2g}",
            f"{sum(apart) / len(apart):.2g}",
            f"{sum(errors) / len(errors):.2g}",
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--works", nargs="+", choices=WORKLOADS, default=[*WORKLOADS])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--documents", type=int, help="of each member task [default: the workload's]")
    options = parser.parse_args()
    everyone = sides(options.model, options.dtype)
    engine = TransformersEngine(resolve(options.model), device="cpu")
    print("| " + " | ".join(COLUMNS) + " |")
    print("|" + " --- |" * len(COLUMNS))
    for work in options.works:
        prepared = selected_documents(WORKLOADS[work], options.data, documents=options.documents)
        asked = build_requests(prepared, engine.tokenizer, engine.max_length, 0)
        requests = list(
            dict.fromkeys(
                one for document in asked for one in document.requests if isinstance(one, ScoreRequest)
            )
        )
        found = {side: answer(requests) for side, answer in everyone.items()}
        for metric in prepared.selected.spec.metrics:
            for row in cells(prepared, asked, found, metric, options.dtype):
                print("| " + " | ".join((work, *row)) + " |", flush=True)


if __name__ == "__main__":
    main()
