"""What a run's answers and scores depend on, found without a model.

Public names: `inputs_sha256`, `digests_of`, `documents_of`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata

from evalsuite.checkpoints import ModelFiles, tokenizer_digest, weights_digest
from evalsuite.engine.protocol import Engine
from evalsuite.prompting.suites import Suite
from evalsuite.registry.selected import PreparedTask
from evalsuite.results.run_spec import RunSpec
from evalsuite.runs.engine import token_options_of
from evalsuite.types import sha256_of


def inputs_sha256(
    spec: RunSpec,
    prepared: Sequence[PreparedTask],
    weights: str,
    tokenizer: str,
    suites: Sequence[Suite] = (),
) -> str:
    """Hash of everything that the answers and scores depend on, found without a tokenizer or a model."""
    tasks = [
        {
            "address": one.selected.address,
            "prompt": one.selected.spec.sha256,
            "comparability": one.selected.task.comparability,
            "data": {split: rows.fingerprint for split, rows in one.data.items()},
            "texts": _texts_sha256(one),
            "questions": _questions_sha256(one),
        }
        for one in prepared
    ]
    version = metadata.version("evalsuite")
    whole = [spec.content, tasks, weights, tokenizer, version]
    return sha256_of([*whole, [suite.sha256 for suite in suites]] if suites else whole)


def _texts_sha256(one: PreparedTask) -> str:
    if one.selected.spec.format != "text":
        return sha256_of([[prompt.contexts, prompt.continuations] for prompt in one.prompts])
    # One after the other: whole corpora would be in memory several times.
    return sha256_of([sha256_of(one.prompt(index).continuations[0]) for index in range(len(one.documents))])


def _questions_sha256(one: PreparedTask) -> str:
    """Hash of the questions; the fingerprint of the data covers held-out texts."""
    if one.selected.spec.format == "text":
        return ""
    return sha256_of([asdict(document.question) for document in one.documents])


def digests_of(spec: RunSpec, files: ModelFiles, engine: Engine | None, verify: bool) -> tuple[str, str]:
    """Digests of the weights and of the tokenizer: the engine's, else those of the files."""
    if engine is not None:
        return engine.identity.weights, engine.identity.tokenizer
    tokenizer = token_options_of(spec).files(files)
    return weights_digest(files, verify=verify), tokenizer_digest(tokenizer, verify=verify)


def documents_of(spec: RunSpec) -> tuple[object, ...]:
    """The fields that decide which documents are read, and how they become requests."""
    return (spec.split, spec.limit, spec.sample, spec.seed, spec.allow_data_drift, spec.bos, spec.texts)
