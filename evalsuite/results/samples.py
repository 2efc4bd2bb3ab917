"""The samples of a task as a Parquet table: prompts, answers and verdicts, one row per document."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from evalsuite.types import Generated, Sample, Score, sha256_of
from evalsuite.visible import writable

_TOKENS_TOGETHER = 2_000_000
_DOCUMENTS_TOGETHER = 50_000


def sample_row(sample: Sample, task: str) -> dict[str, Any]:
    """The columns of one sample."""
    scores = [score for score in sample.responses if isinstance(score, Score)]
    texts = [text for text in sample.responses if isinstance(text, Generated)]
    document = sample.document
    return {
        "task": task,
        "subtask": document.subtask,
        "doc": document.index,
        "subtask_doc": document.subtask_index,
        "key": document.key(task),
        "cluster": document.cluster or None,
        "status": sample.status,
        "reason": sample.reason,
        "gold": sample.gold,
        "prediction": sample.prediction,
        "metrics": [{"metric": name, "value": value} for name, value in sample.metrics.items()],
        "shots": sample.shots,
        "contexts": list(sample.prompt.contexts),
        "context_sha256": sha256_of(sample.prompt.contexts[0]),
        "continuations": list(sample.prompt.continuations),
        "log_likelihoods": [score.log_likelihood for score in scores],
        "is_greedy": [score.is_greedy for score in scores],
        "texts": [text.text for text in texts],
        "extracted": list(sample.extracted),
        "correct": list(sample.correct),
        "deciders": list(sample.deciders),
        "finishes": [text.finish for text in texts],
        "generated_tokens": [text.tokens for text in texts],
        "context_tokens": list(sample.context_tokens),
        "continuation_tokens": list(sample.continuation_tokens),
        "weights": [{"metric": name, "weight": value} for name, value in sample.weights.items()],
        "token_log_probs": list(sample.token_log_probs),
        "token_bytes": list(sample.token_bytes),
    }


def write_samples(samples: Sequence[Sample], task: str, path: Path) -> None:
    """Write the table in document order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    string, integer, real = pa.string(), pa.int64(), pa.float64()
    schema = pa.schema(
        {
            "task": string,
            "subtask": string,
            "doc": integer,
            "subtask_doc": integer,
            "key": string,
            "cluster": string,
            "status": string,
            "reason": string,
            "gold": string,
            "prediction": string,
            "metrics": pa.list_(pa.struct({"metric": string, "value": real})),
            "shots": integer,
            "contexts": pa.list_(string),
            "context_sha256": string,
            "continuations": pa.list_(string),
            "log_likelihoods": pa.list_(real),
            "is_greedy": pa.list_(pa.bool_()),
            "texts": pa.list_(string),
            "extracted": pa.list_(string),
            "correct": pa.list_(pa.bool_()),
            "deciders": pa.list_(string),
            "finishes": pa.list_(string),
            "generated_tokens": pa.list_(integer),
            "context_tokens": pa.list_(integer),
            "continuation_tokens": pa.list_(integer),
            "weights": pa.list_(pa.struct({"metric": string, "weight": real})),
            "token_log_probs": pa.list_(real),
            "token_bytes": pa.list_(pa.int32()),
        }
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for part in _parts(samples):
            rows = [sample_row(sample, task) for sample in part]
            try:
                table = pa.Table.from_pylist(rows, schema=schema)
            except UnicodeEncodeError:  # Half of a surrogate pair; few tables have one, and looking is slow.
                table = pa.Table.from_pylist(writable(rows), schema=schema)
            file.write_table(table)


def _parts(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """Samples that fit in memory as rows together: tokens of held-out texts take most of it."""
    start = size = 0
    for index, sample in enumerate(samples):
        if size > _TOKENS_TOGETHER:
            yield samples[start:index]
            start, size = index, 0
        size += len(sample.token_log_probs) + _TOKENS_TOGETHER // _DOCUMENTS_TOGETHER
    yield samples[start:]


def read_samples(path: Path) -> list[dict[str, Any]]:
    """The rows of such a table, with the columns of `sample_row`."""
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows
