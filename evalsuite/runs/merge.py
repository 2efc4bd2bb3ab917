"""Unites the shards of a run and finishes it as one process would have; no model is loaded."""

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
from evalsuite.runs.execute import Execution, RemoteWork, execute, make_engine_of, token_options_of
from evalsuite.runs.rescore import SCORING_PACKAGES
from evalsuite.types import Failure, GenerateRequest, ModelIdentity, ScoreRequest


@dataclass(frozen=True)
class ShardFolder:
    """What a shard left behind."""

    path: Path
    log: RunLog
    shard: ShardRecord

    @classmethod
    def read(cls, path: Path) -> "ShardFolder":
        """By the folder or its run.json; raises StorageError where it holds no shard."""
        folder = path if path.is_dir() else path.parent
        log = read_run(path)
        if log.shard is None:
            raise StorageError(f"{path} holds a whole run, not a shard of one; there is nothing to merge.")
        return cls(folder, log, log.shard)

    @property
    def store(self) -> Path:
        """Its answers."""
        return RunFolder(self.path).store


@dataclass(frozen=True)
class AnsweredEngine(EngineDefaults):
    """An engine whose work is done: it has the model's tokenizer, and the failures of the shards."""

    engine: Engine
    identity: ModelIdentity
    failures: dict[str, str]
    """By key of the request (hexadecimal): why it has no answer."""
    notes: tuple[str, ...] = field(default=())

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's."""
        return self.engine.tokenizer

    @property
    def max_length(self) -> int | None:
        """Context window in tokens."""
        return self.engine.max_length

    @property
    def vocabulary(self) -> int | None:
        """As the model's engine knows it."""
        return self.engine.vocabulary

    def score(
        self, requests: Sequence[ScoreRequest], answered: Collection[ScoreRequest] = ()
    ) -> Iterator[EngineEvent[ScoreRequest]]:
        """The failures of the shards; raises StorageError where a request has neither answer nor failure."""
        yield self._failed(requests, answered)

    def generate(
        self, requests: Sequence[GenerateRequest], answered: Collection[GenerateRequest] = ()
    ) -> Iterator[EngineEvent[GenerateRequest]]:
        """As `score`."""
        yield self._failed(requests, answered)

    def partition(self, requests: Sequence[R]) -> list[tuple[R, ...]]:
        """As the model's engine cuts them."""
        return self.engine.partition(requests)

    def _failed(self, requests: Sequence[R], answered: Collection[R]) -> Answered[R]:
        keys = {one: request_key(one, self.identity).hex() for one in requests if one not in answered}
        if lost := sum(key not in self.failures for key in keys.values()):
            raise StorageError(
                f"{lost:,} of {len(requests):,} requests have no answer in the shards although these are finished; "
                "their stores are not the ones that belong to them."
            )
        return Answered(tuple((one, Failure(self.failures[key])) for one, key in keys.items()), 0)


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
    """Write the run folder that one process would have written; gives its log and where it is.

    Args:
        folders: of all shards of one run, in any order.
        out: run folder; None for the one that `run` takes without a shard.
        registry: finds the run's tasks.
        data_dir: folder with data sets in Hugging Face layout.
        allow_failures: score a task although documents failed.
        allow_unsafe_code: run model-written code under resource limits alone, where no sandbox works.
        progress: is told what happens.

    Raises:
        UserError: the shards are not those of one run, or not all; answers differ; data or prompts are no
            longer those that were answered; the folder is taken.
    """
    shards = [ShardFolder.read(path) for path in folders]
    check_complete(shards)
    first = shards[0].log
    files = _files(first)
    target = out or default_folder(first.spec)
    selected = registry.select(list(first.spec.tasks))
    with RunFolder(target).opened(first.spec), _staging(target) as staging:
        unite([one.store for one in shards], RunFolder(staging).store)
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
            failures={key: reason for one in shards for key, reason in one.shard.failures.items()},
            notes=_notes(shards),
        )
        elsewhere = _elsewhere(shards)
        log = execute(
            first.spec, selected, files, execution, engine=engine, progress=progress, elsewhere=elsewhere
        )
    return log, target


@contextmanager
def _staging(target: Path) -> Iterator[Path]:
    """A folder with what stands in `target`; it takes the place of that once all is done, and never
    before."""
    with TemporaryDirectory(dir=target, prefix=".merging-") as folder:
        staging = Path(folder)
        present = [one for one in target.iterdir() if one != staging and one.name != ".lock"]
        with disk_errors(staging):
            for one in present:
                (shutil.copytree if one.is_dir() else shutil.copy2)(one, staging / one.name)
        yield staging
        finished = sorted(
            (one for one in staging.rglob("*") if one.is_file()), key=lambda one: one.name == "run.json"
        )
        with disk_errors(target):
            for one in finished:
                place = target / one.relative_to(staging)
                place.parent.mkdir(exist_ok=True)
                if one.name != ".lock":
                    os.replace(one, place)


def check_complete(shards: Sequence[ShardFolder]) -> None:
    """Raises StorageError unless these are all shards of one run, each of them once and finished."""
    first = shards[0]
    for other in shards[1:]:
        if differing := _differing(first, other):
            raise StorageError(f"{first.path} and {other.path} are not shards of one run: {differing}.")
    by_index: dict[int, ShardFolder] = {}
    for one in shards:
        if earlier := by_index.get(one.shard.index):
            again = "" if earlier.path == one.path else f": {earlier.path} and {one.path}"
            raise StorageError(f"Shard {one.shard.name} is given twice{again}.")
        by_index[one.shard.index] = one
    count = first.shard.count
    missing = [f"{index}/{count}" for index in range(count) if index not in by_index]
    if missing:
        raise StorageError(
            f"Shard {', '.join(missing)} is missing; nothing is lost: run it with --shard, or name its folder too, "
            "and merge again."
        )
    unfinished = [one for one in shards if one.log.status == "running"]
    if unfinished:
        names = ", ".join(f"{one.shard.name} ({one.path})" for one in unfinished)
        raise StorageError(f"Shard {names} has not finished; its command continues it, and then merge again.")


def _differing(one: ShardFolder, other: ShardFolder) -> str:
    """How two shards differ that shards of one run do not; empty if they belong to one run."""
    for name in type(one.log.spec).model_fields:
        values = [getattr(shard.log.spec, name) for shard in (one, other)]
        if values[0] != values[1]:
            return f"{name} is {_shown(values[0])} in the first, {_shown(values[1])} in the second"
    for name in type(one.log.model).model_fields:
        values = [getattr(shard.log.model, name) for shard in (one, other)]
        if values[0] != values[1]:
            return f"the model's {name} is {values[0]} in the first, {values[1]} in the second"
    if one.log.evalsuite_version != other.log.evalsuite_version:
        return (
            f"evalsuite {one.log.evalsuite_version} wrote the first, {other.log.evalsuite_version} the second"
        )
    if one.shard.count != other.shard.count:
        return f"the first is one of {one.shard.count} shards, the second one of {other.shard.count}"
    return (
        "" if one.log.inputs_sha256 == other.log.inputs_sha256 else "their data, prompts or task files differ"
    )


def _shown(value: object) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def unite(stores: Sequence[Path], target: Path) -> None:
    """Put the answers of all stores into one; nothing is changed unless all of them agree.

    Raises:
        StorageError: a store is missing or damaged, or two have different answers to the same request.
    """
    for path in stores:
        if not path.is_file():
            raise StorageError(f"{path} is missing; copy the shard's whole folder, or run the shard again.")
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
    """The model's files, of which only the tokenizer is needed."""
    if not engine_kind(log.spec.engine).needs_files:
        return ModelFiles.elsewhere(log.spec.model, log.spec.revision)
    files = resolve(log.spec.model, revision=log.spec.revision)
    if tokenizer_digest(token_options_of(log.spec).files(files), verify=False) != log.model.tokenizer_sha256:
        raise StorageError(
            f"The tokenizer of '{log.spec.model}' is not the one that the shards answered with; merge where the "
            "model is the same."
        )
    return files


def _elsewhere(shards: Sequence[ShardFolder]) -> RemoteWork:
    costs: dict[str, tuple[float, float]] = {}
    for one in shards:
        for task, (tokens, seconds) in one.shard.costs.items():
            before = costs.get(task, (0.0, 0.0))
            costs[task] = (before[0] + tokens, before[1] + seconds)
    answered_on = {
        name: value for name, value in shards[0].log.environment.items() if name not in SCORING_PACKAGES
    }
    return RemoteWork(
        costs=costs,
        environment=answered_on,
        inputs_sha256=shards[0].log.inputs_sha256,
    )


def _notes(shards: Sequence[ShardFolder]) -> tuple[str, ...]:
    """What the shards' engines say, and that there were several."""
    said = dict.fromkeys(note for one in shards for note in one.log.notes)
    first = shards[0].log.environment
    differing = sorted(
        name
        for name in first
        if name not in ("platform", "cpus")
        and any(one.log.environment.get(name) != first[name] for one in shards)
    )
    mixed = (f"Shards ran with different versions of {', '.join(differing)}.",) if differing else ()
    return (*said, f"Merged from {len(shards)} shards.", *mixed)
