"""Merges the shards of a run into the run that one process would have written; loads no model."""

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from evalsuite.checkpoints import ModelFiles, resolve, tokenizer_digest
from evalsuite.engine.engines import engine_kind
from evalsuite.engine.protocol import Answered, Engine, EngineDefaults, EngineEvent, R, Tokenizer
from evalsuite.errors import StorageError
from evalsuite.progress import Progress
from evalsuite.registry.registry import Registry
from evalsuite.results.folder import RunFolder, default_folder, disk_errors
from evalsuite.results.runlog import RunLog, ShardRecord, read_run
from evalsuite.results.store import ResponseStore, request_key
from evalsuite.runs.engine import make_engine_of, token_options_of
from evalsuite.runs.execute import execute
from evalsuite.runs.options import Execution
from evalsuite.runs.rescore import SCORING_PACKAGES
from evalsuite.runs.session import RemoteWork
from evalsuite.types import Failure, GenerateRequest, ModelIdentity, ScoreRequest


@dataclass(frozen=True)
class ShardFolder:
    """The folder that a shard wrote."""

    path: Path
    log: RunLog
    shard: ShardRecord

    @classmethod
    def read(cls, path: Path) -> "ShardFolder":
        """Read a shard's folder or run.json; raises StorageError if it holds no shard."""
        folder = path if path.is_dir() else path.parent
        log = read_run(path)
        if log.shard is None:
            raise StorageError(f"{path} holds a whole run, not a shard; there is nothing to merge.")
        return cls(folder, log, log.shard)

    @property
    def store(self) -> Path:
        """Path of the shard's response store."""
        return RunFolder(self.path).store


@dataclass(frozen=True)
class AnsweredEngine(EngineDefaults):
    """An engine that computes nothing: it has the model's tokenizer and reports the shards' failures."""

    engine: Engine
    identity: ModelIdentity
    failures: dict[str, str]
    """Reason for each missing answer, by the hexadecimal key of its request."""
    notes: tuple[str, ...] = field(default=())

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        return self.engine.tokenizer

    @property
    def max_length(self) -> int | None:
        """Context window in tokens."""
        return self.engine.max_length

    @property
    def vocabulary(self) -> int | None:
        """Rows of the model's vocabulary, as its engine knows them."""
        return self.engine.vocabulary

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[EngineEvent[ScoreRequest]]:
        """The shards' failures; raises StorageError if a request has neither an answer nor a failure."""
        yield self._failed(requests, answered)

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[EngineEvent[GenerateRequest]]:
        """The shards' failures, as in `score`."""
        yield self._failed(requests, answered)

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """The partition of the model's engine."""
        return self.engine.partition(requests)

    def _failed(self, requests: Sequence[R], answered: Collection[R]) -> Answered[R]:
        open_requests = [request for request in requests if request not in answered]
        keys = {request: request_key(request, self.identity).hex() for request in open_requests}
        if lost := sum(key not in self.failures for key in keys.values()):
            raise StorageError(
                f"{lost:,} of {len(requests):,} requests have no answer although all shards are finished; "
                "the response stores in these folders belong to other shards."
            )
        return Answered(tuple((request, Failure(self.failures[key])) for request, key in keys.items()), 0)


def merge(
    folders: Sequence[Path],
    out: Path | None,
    registry: Registry,
    *,
    data_dir: Path | None = None,
    allow_failures: bool = False,
    allow_unsafe_code: bool = False,
    progress: Progress | None = None,
) -> tuple[RunLog, Path]:
    """Write the run folder that one process would have written; returns its log and path.

    Args:
        folders: the folders of all shards of a run, in any order.
        out: run folder; None for the default folder of `run`.
        registry: finds the run's tasks.
        data_dir: folder with datasets in Hugging Face layout.
        allow_failures: score a task even if documents failed.
        allow_unsafe_code: run model-written code under resource limits alone if no sandbox works.
        progress: receives progress.

    Raises:
        UserError: shards are missing or belong to different runs; answers differ; data or prompts have
            changed since the shards answered them; the folder is in use.
    """
    shards = [ShardFolder.read(path) for path in folders]
    check_complete(shards)
    first = shards[0].log
    files = _files(first)
    target = out or default_folder(first.spec)
    selected = registry.select(list(first.spec.tasks))
    with RunFolder(target).opened(first.spec), _staging(target) as staging:
        unite([shard.store for shard in shards], RunFolder(staging).store)
        execution = Execution(
            folder=staging,
            data_dir=data_dir,
            allow_failures=allow_failures,
            allow_unsafe_code=allow_unsafe_code,
        )
        engine = AnsweredEngine(
            engine=make_engine_of(first.spec, files, execution),
            identity=ModelIdentity(
                first.model.weights_sha256, first.model.tokenizer_sha256, first.model.numerics
            ),
            failures={key: reason for shard in shards for key, reason in shard.shard.failures.items()},
            notes=_notes(shards),
        )
        work = _remote_work(shards)
        log = execute(
            first.spec,
            selected,
            files,
            execution,
            suites=registry.suites.among(first.spec.suites),
            engine=engine,
            progress=progress,
            elsewhere=work,
        )
    return log, target


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A copy of `target` to work in; its files replace those of `target` only after the work succeeds."""
    with TemporaryDirectory(dir=target, prefix=".merging-") as folder:
        staging = Path(folder)
        present = [path for path in target.iterdir() if path != staging and path.name != ".lock"]
        with disk_errors(staging):
            for path in present:
                (shutil.copytree if path.is_dir() else shutil.copy2)(path, staging / path.name)
        yield staging
        finished = sorted(
            (path for path in staging.rglob("*") if path.is_file()), key=lambda path: path.name == "run.json"
        )
        with disk_errors(target):
            for path in finished:
                destination = target / path.relative_to(staging)
                destination.parent.mkdir(exist_ok=True)
                if path.name != ".lock":
                    os.replace(path, destination)


def check_complete(shards: Sequence[ShardFolder]) -> None:
    """Raises StorageError unless `shards` are all shards of one run, each given once and finished."""
    first = shards[0]
    for other in shards[1:]:
        if differing := _differing(first, other):
            raise StorageError(f"{first.path} and {other.path} are not shards of one run: {differing}.")
    by_index: dict[int, ShardFolder] = {}
    for folder in shards:
        if earlier := by_index.get(folder.shard.index):
            paths = "" if earlier.path == folder.path else f": {earlier.path} and {folder.path}"
            raise StorageError(f"Shard {folder.shard.name} is given twice{paths}.")
        by_index[folder.shard.index] = folder
    count = first.shard.count
    missing = [f"{index}/{count}" for index in range(count) if index not in by_index]
    if missing:
        raise StorageError(
            f"Shard {', '.join(missing)} is missing; the other shards are kept. Run it with --shard or add "
            "its folder, and merge again."
        )
    unfinished = [folder for folder in shards if folder.log.status == "running"]
    if unfinished:
        names = ", ".join(f"{folder.shard.name} ({folder.path})" for folder in unfinished)
        raise StorageError(
            f"Shard {names} has not finished; finish it with the same command, then merge again."
        )


def _differing(first: ShardFolder, second: ShardFolder) -> str:
    """The difference that shows that two shards belong to different runs; empty if they belong to one."""
    for name in type(first.log.spec).model_fields:
        values = [getattr(shard.log.spec, name) for shard in (first, second)]
        if values[0] != values[1]:
            return f"{name} is {_shown(values[0])} in the first, {_shown(values[1])} in the second"
    for name in type(first.log.model).model_fields:
        values = [getattr(shard.log.model, name) for shard in (first, second)]
        if values[0] != values[1]:
            return f"the model's {name} is {values[0]} in the first, {values[1]} in the second"
    versions = first.log.evalsuite_version, second.log.evalsuite_version
    if versions[0] != versions[1]:
        return f"evalsuite {versions[0]} wrote the first, {versions[1]} the second"
    if first.shard.count != second.shard.count:
        return f"the first is one of {first.shard.count} shards, the second one of {second.shard.count}"
    same_inputs = first.log.inputs_sha256 == second.log.inputs_sha256
    return "" if same_inputs else "their data, prompts or task files differ"


def _shown(value: object) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def unite(stores: Sequence[Path], target: Path) -> None:
    """Merge the answers of all stores into `target`, which is unchanged unless all of them agree.

    Raises:
        StorageError: a store is missing or damaged, or two have different answers to the same request.
    """
    for path in stores:
        if not path.is_file():
            raise StorageError(f"{path} is missing; copy the shard's whole folder or run the shard again.")
    with TemporaryDirectory(dir=target.parent, prefix=".merging-") as folder:
        together = Path(folder, "responses.sqlite")
        united = ResponseStore(together)
        try:
            for path in stores:
                united.take(path)
        finally:
            united.close()
        store = ResponseStore(target)
        try:
            store.take(together, named="the shards")
        finally:
            store.close()


def _files(log: RunLog) -> ModelFiles:
    """The model's files; merging reads only the tokenizer."""
    if not engine_kind(log.spec.engine).needs_files:
        return ModelFiles.elsewhere(log.spec.model, log.spec.revision)
    files = resolve(
        log.spec.model,
        revision=log.spec.revision,
        model_config=log.spec.configuration,
        adapter=log.spec.adapter,
    )
    if tokenizer_digest(token_options_of(log.spec).files(files), verify=False) != log.model.tokenizer_sha256:
        raise StorageError(
            f"The tokenizer of '{log.spec.model}' differs from the one that the shards used; merge on a "
            "machine that has the same model."
        )
    return files


def _remote_work(shards: Sequence[ShardFolder]) -> RemoteWork:
    costs: dict[str, tuple[float, float]] = {}
    for folder in shards:
        for task, (tokens, seconds) in folder.shard.costs.items():
            before = costs.get(task, (0.0, 0.0))
            costs[task] = (before[0] + tokens, before[1] + seconds)
    answered_on = {
        name: value for name, value in shards[0].log.environment.items() if name not in SCORING_PACKAGES
    }
    return RemoteWork(
        costs=costs,
        environment=answered_on,
        inputs_sha256=shards[0].log.inputs_sha256,
        smoke=next((folder.log.smoke for folder in shards if folder.log.smoke), None),
    )


def _notes(shards: Sequence[ShardFolder]) -> tuple[str, ...]:
    """The notes of the shards' engines, and notes on the merge."""
    engine_notes = dict.fromkeys(note for folder in shards for note in folder.log.notes)
    first = shards[0].log.environment
    differing = sorted(
        name
        for name in first
        if name not in ("platform", "cpus")
        and any(folder.log.environment.get(name) != first[name] for folder in shards)
    )
    mixed = (f"Shards ran with different versions of {', '.join(differing)}.",) if differing else ()
    return (*engine_notes, f"Merged from {len(shards)} shards.", *mixed)
