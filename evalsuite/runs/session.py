"""One process's work on a run: ask, answer, judge, and the run log of it.

Public names: `RunSession`, `RemoteWork`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.engines import engine_kind
from evalsuite.engine.generation_config import notes_on
from evalsuite.engine.protocol import Engine
from evalsuite.progress import Progress, Stage, verdicts_of
from evalsuite.prompting.suites import Suite
from evalsuite.registry.selected import PreparedTask
from evalsuite.requests.build import build_requests
from evalsuite.requests.document import DocumentRequests, generate_requests, score_requests
from evalsuite.requests.token_notes import token_notes
from evalsuite.results.aggregate import task_record
from evalsuite.results.averages import averages
from evalsuite.results.best_form import best_forms
from evalsuite.results.environment import environment
from evalsuite.results.run_spec import RunSpec
from evalsuite.results.runlog import ModelRecord, RunLog, ShardRecord, TaskRecord
from evalsuite.results.smoke import SmokeRecord
from evalsuite.results.store import ResponseStore, request_key
from evalsuite.results.suites import suite_records
from evalsuite.results.unwritten import NoStore
from evalsuite.results.versions import ANSWERING, OF_SOME, installed, told_of_origins
from evalsuite.runs.answering import Answers, answer
from evalsuite.runs.inputs import documents_of
from evalsuite.runs.options import Execution
from evalsuite.runs.portions import JudgedSoFar, added, portions
from evalsuite.runs.shards import Shard, share_of
from evalsuite.runs.smoke import SmokeSession
from evalsuite.scoring.judge import judge
from evalsuite.scoring.verdict import Options
from evalsuite.types import Failure, Request, Sample


@dataclass(frozen=True)
class RemoteWork:
    """What other processes did for a run whose answers are all there."""

    costs: Mapping[str, tuple[float, float]]
    """By task name: tokens computed, and seconds."""
    environment: Mapping[str, str]
    """What they ran on."""
    inputs_sha256: str
    """Of the run that they answered."""
    smoke: SmokeRecord | None = None
    """Of the model that they loaded."""


class RunSession:
    """One process's work on a run."""

    def __init__(
        self,
        spec: RunSpec,
        prepared: Sequence[PreparedTask],
        suites: Sequence[Suite],
        engine: Engine,
        files: ModelFiles,
        inputs: str,
        execution: Execution,
        elsewhere: RemoteWork | None,
        notes: tuple[str, ...],
    ) -> None:
        self._spec = spec
        self._prepared = prepared
        self._suites = suites
        self._engine = engine
        self._files = files
        self._inputs = inputs
        self._execution = execution
        self._elsewhere = elsewhere
        self._origins: tuple[str, ...] = ()
        self._smoke: SmokeRecord | None = elsewhere.smoke if elsewhere else None
        self._smoke_session: SmokeSession | None = None
        self._notes = notes
        self._began = time.monotonic()
        self._started = datetime.now(UTC).isoformat(timespec="seconds")

    def answer_share(self, shard: Shard, store_path: Path | None, progress: Progress) -> RunLog:
        """Answer a shard's requests; the run log says how far that went."""
        self._begin_loading(store_path)
        failures: dict[str, str] = {}
        costs: dict[str, tuple[float, float]] = {}
        share = 0
        with self._store(store_path) as store:
            for portion in portions(self._prepared):
                asked = self._ask(portion, progress)
                answers, count = self._answers(asked, store, progress, shard)
                share += count
                failures |= {
                    request_key(request, self._engine.identity).hex(): answer.reason
                    for request, answer in answers.by_request.items()
                    if isinstance(answer, Failure)
                }
                for name, documents in asked.items():
                    costs[name] = added(costs.get(name), answers.cost(_requests_of(documents)))
        record = ShardRecord(
            index=shard.index, count=shard.count, requests=share, failures=failures, costs=costs
        )
        return self.log("incomplete" if failures else "shard").model_copy(update={"shard": record})

    @contextmanager
    def _store(self, path: Path | None) -> Iterator[ResponseStore]:
        store = ResponseStore(path, self._versions) if path else NoStore()
        try:
            yield store
        finally:
            store.close()

    @property
    def _versions(self) -> dict[str, str]:
        return installed((*ANSWERING, *self._own_packages()))

    def _answers(
        self,
        asked: Mapping[str, Sequence[DocumentRequests]],
        store: ResponseStore,
        progress: Progress,
        shard: Shard | None = None,
    ) -> tuple[Answers, int]:
        """The answers to a shard's requests, or to all, and how many requests these are."""
        every = [one for documents in asked.values() for one in documents]
        scores, texts = score_requests(every), generate_requests(every)
        others: frozenset[Request] = frozenset()
        if shard:
            progress.stage(Stage("sharing"))
            others = frozenset[Request]((*scores, *texts)) - share_of(shard, self._engine, scores, texts)
        if self._smoke_session is None and self._tests_smoke(shard):
            self._smoke_session = SmokeSession(self._engine, store, progress)
        smoke = self._smoke_session
        before = smoke.compute if smoke else lambda: None
        answers = answer(scores, texts, self._engine, store, progress, others, before)
        self._smoke = smoke.record if smoke else self._smoke
        return answers, len(scores) + len(texts) - len(others)

    def _tests_smoke(self, shard: Shard | None) -> bool:
        """Of the shards the first one tests the model: one request has one answer when they are merged."""
        first = shard is None or shard.index == 0
        return self._execution.smoke and first and engine_kind(self._spec.engine).needs_files

    def _own_packages(self) -> Iterator[str]:
        """Packages that this model or engine depends on and others do not."""
        if self._files.gguf_path:
            yield "gguf"
        if self._files.adapter:
            yield "peft"
        if self._spec.engine in OF_SOME:
            yield self._spec.engine

    def finish(
        self, store_path: Path | None, progress: Progress
    ) -> tuple[RunLog, dict[str, Sequence[Sample]]]:
        """The run log with its scores, and the samples by task name."""
        self._begin_loading(store_path)
        judged = {one.selected.name: JudgedSoFar() for one in self._prepared}
        stored: list[bytes] = []
        with self._store(store_path) as store:
            for portion in portions(self._prepared):
                asked = self._ask(portion, progress)
                answers, _ = self._answers(asked, store, progress)
                stored += answers.stored
                progress.stage(Stage("judging"))
                for one in portion:
                    judged[one.selected.name].add(
                        self._judge(one, asked[one.selected.name], answers, progress)
                    )
            ours = {**self._versions, **(self._elsewhere.environment if self._elsewhere else {})}
            self._origins = tuple(told_of_origins(store.origins(stored), ours))
        records = [self._record(one, judged[one.selected.name]) for one in self._prepared]
        scored = all(record.metrics for record in records)
        samples: dict[str, Sequence[Sample]] = {name: one.samples for name, one in judged.items()}
        return self.log("complete" if scored else "incomplete", records), samples

    def _judge(
        self, one: PreparedTask, asked: Sequence[DocumentRequests], answers: Answers, progress: Progress
    ) -> JudgedSoFar:
        options = Options(
            allow_unsafe_code=self._execution.allow_unsafe_code,
            on_verdicts=verdicts_of(progress, one.selected.name),
        )
        samples, notes = judge(one, asked, answers.by_request, self._engine.max_length, options)
        token_notes_of = token_notes(one, asked, self._engine.tokenizer)
        return JudgedSoFar(samples, list(asked), answers.cost(_requests_of(asked)), token_notes_of, notes)

    def _record(self, one: PreparedTask, judged: JudgedSoFar) -> TaskRecord:
        tokens, seconds = judged.cost
        if self._elsewhere:
            tokens, seconds = self._elsewhere.costs.get(one.selected.name, (tokens, seconds))
        return task_record(
            one,
            judged.asked,
            judged.samples,
            tokens=round(tokens),
            seconds=seconds,
            allow_failures=self._execution.allow_failures,
            answer_notes=(*judged.token_notes, *self._generation_notes(one)),
            notes=judged.notes,
            numerics=self._engine.identity.numerics,
        )

    def _generation_notes(self, prepared: PreparedTask) -> tuple[str, ...]:
        settings = prepared.selected.spec.generation
        if (
            settings is None
            or not self._files.folder.is_dir()
            or not engine_kind(self._spec.engine).needs_files
        ):
            return ()
        sampled, native = settings.temperature > 0, self._spec.engine == "native"
        return notes_on(self._files, settings.backend, sampled=sampled, applied=native)

    def log(self, status: str, records: Sequence[TaskRecord] = ()) -> RunLog:
        """The run log at this moment, with the records of the tasks that are judged."""
        engine, shard = self._engine, self._execution.shard
        # The engine may have to load the model to know its identity, which it does beside the encoding.
        identity = engine.expected_identity if status == "running" else engine.identity
        return RunLog(
            evalsuite_version=metadata.version("evalsuite"),
            status=status,  # type: ignore[arg-type]
            spec=self._spec,
            inputs_sha256=self._inputs,
            model=ModelRecord(
                id=self._files.hub_id or self._files.name,
                revision=self._files.revision,
                weights_sha256=identity.weights,
                tokenizer_sha256=identity.tokenizer,
                numerics=identity.numerics,
            ),
            environment={**environment(), **(self._elsewhere.environment if self._elsewhere else {})},
            started=self._started,
            seconds=round(time.monotonic() - self._began, 3),
            tasks=tuple(records),
            best_forms=best_forms(records),
            averages=averages(records),
            suites=suite_records(self._suites, records) if records else (),
            notes=(
                *engine.notes,
                *engine.tokenizer.notes,
                *self._origins,
                *self._notes,
            ),
            smoke=self._smoke,
            shard=ShardRecord(index=shard.index, count=shard.count) if shard else None,
        )

    def _begin_loading(self, store_path: Path | None) -> None:
        """Let the engine load beside the encoding, where nothing was answered yet and it has to in any
        case."""
        if store_path is None or not store_path.exists():
            self._engine.begin_loading()

    def _ask(self, portion: Sequence[PreparedTask], progress: Progress) -> dict[str, list[DocumentRequests]]:
        progress.stage(Stage("encoding"))
        return {one.selected.name: self._requests(one) for one in portion}

    def _requests(self, one: PreparedTask) -> list[DocumentRequests]:
        engine, spec, selected = self._engine, self._spec, one.selected
        if selected.spec.format == "text":  # Their requests are too many to keep.
            return build_requests(one, engine.tokenizer, engine.max_length, spec.seed)
        return self._execution.kept.get(
            (
                "requests",
                selected.address,
                selected.spec.sha256,
                self._execution.data_dir,
                documents_of(spec),
                engine.expected_identity.tokenizer,
                spec.prefix_token,
                engine.max_length,
            ),
            lambda: build_requests(one, engine.tokenizer, engine.max_length, spec.seed),
        )


def _requests_of(documents: Sequence[DocumentRequests]) -> Iterator[Request]:
    return (request for document in documents for request in document.requests)
