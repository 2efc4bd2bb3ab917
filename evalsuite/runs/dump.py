"""Writes the requests of tasks without a model: as text, or as hashes to compare with golden files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalsuite.files.replace import replaced_file
from evalsuite.registry.addresses import file_stem
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.document import DocumentRequests
from evalsuite.scoring.targets import reference_targets
from evalsuite.types import Document, MultipleChoice, OpenAnswer, Prompt, canonical_json, gold_text, sha256_of
from evalsuite.visible import writable

_KINDS = {True: "generate_until", False: "loglikelihood"}


def request_rows(prepared: PreparedTask) -> list[dict[str, Any]]:
    """One row per document, with its texts."""
    return [
        {
            "task": prepared.selected.name,
            "subtask": document.subtask,
            "doc": document.subtask_index,
            "kind": _KINDS[prompt.generation is not None],
            "context": prompt.contexts[0],
            "contexts": list(prompt.contexts) if len(prompt.contexts) > 1 else [],
            "continuations": list(prompt.continuations),
            "generation": _arguments(prepared, document) if prompt.generation else None,
            "gold": _gold(prepared, document),
        }
        for document, prompt in zip(prepared.documents, prepared.prompts, strict=True)
    ]


def hash_rows(prepared: PreparedTask, places: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """One row per document, with SHA-256 digests of its texts, in the columns of the golden files.

    `places` are the positions of the documents; None for all.
    """
    chosen = list(range(len(prepared.documents))) if places is None else list(places)
    documents = [prepared.documents[place] for place in chosen]
    targets = _targets(prepared, documents)
    return [
        _hash_row(prepared, document, prepared.prompts[place], target)
        for place, document, target in zip(chosen, documents, targets, strict=True)
    ]


def _hash_row(
    prepared: PreparedTask, document: Document, prompt: Prompt, target: str | None
) -> dict[str, Any]:
    generates = prompt.generation is not None
    hashed = [_arguments(prepared, document)] if generates else list(prompt.continuations)
    return {
        "subtask": document.subtask,
        "doc": document.subtask_index,
        "kind": _KINDS[generates],
        "context_sha256": sha256_of(prompt.contexts[0]),
        "contexts_sha256": [sha256_of(text) for text in prompt.contexts] if len(prompt.contexts) > 1 else [],
        "continuation_sha256": [sha256_of(text) for text in hashed],
        "n_chars": len(prompt.contexts[0]),
        "n_chars_continuation": [len(text) for text in prompt.continuations],
        "gold": _gold(prepared, document),
        "target_sha256": None if target is None else sha256_of(target),
    }


def _gold(prepared: PreparedTask, document: Document) -> str:
    """The gold answer as golden files write it: for generated answers to multiple choice, the letter."""
    spec, question = prepared.selected.spec, document.question
    if isinstance(question, MultipleChoice) and spec.format == "generate":
        return spec.letters[question.answer]
    if isinstance(question, OpenAnswer) and spec.format == "gold":
        return json.dumps(list(range(len(question.answers))))
    return gold_text(document)


def _targets(prepared: PreparedTask, documents: Sequence[Document]) -> Sequence[str | None]:
    """The documents' targets as the reference defines them; None where it has none."""
    spec = prepared.selected.spec
    if spec.target is not None:
        return [prepared.renderer.target(document) for document in documents]
    questions = [document.question for document in documents]
    found = reference_targets(spec, [one.solution for one in questions if isinstance(one, OpenAnswer)])
    if found is not None:
        return found
    return [_gold(prepared, document) if spec.format == "generate" else None for document in documents]


def _arguments(prepared: PreparedTask, document: Document) -> str:
    """Generation arguments in canonical JSON, with the reference harness's names."""
    generation = prepared.selected.spec.generation
    return canonical_json(generation.reference_arguments(document.member)) if generation else ""


def write_requests(
    prepared: PreparedTask, folder: Path, hashes: bool, asked: Sequence[DocumentRequests] | None = None
) -> Path:
    """Replace `<folder>/<task>.parquet` and return its path; adds token ids if `asked` is given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    texts, integers = pa.list_(pa.string()), pa.list_(pa.int32())
    types = {
        "doc": pa.int32(),
        "contexts": texts,
        "continuations": texts,
        "contexts_sha256": texts,
        "continuation_sha256": texts,
        "n_chars": pa.int32(),
        "n_chars_continuation": integers,
        "context_ids": pa.list_(integers),
        "continuation_ids": pa.list_(integers),
    }
    rows = hash_rows(prepared) if hashes else request_rows(prepared)
    if asked is not None:
        rows = [row | _ids(requests) for row, requests in zip(rows, asked, strict=True)]
    schema = pa.schema([(name, types.get(name, pa.string())) for name in rows[0]])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{file_stem(prepared.selected.name)}.parquet"
    with replaced_file(path) as unfinished:
        pq.write_table(pa.Table.from_pylist(writable(rows), schema=schema), unfinished)
    return path


def _ids(asked: DocumentRequests) -> dict[str, Any]:
    """Token ids of each request, or the reason why there are none."""
    return {
        "context_ids": [list(request.context) for request in asked.requests],
        "continuation_ids": [list(getattr(request, "continuation", ())) for request in asked.requests],
        "problem": f"{asked.tokens} tokens do not fit the window" if asked.too_long else asked.problem,
    }
