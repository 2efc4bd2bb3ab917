"""Starts, checks, loads and replaces workers."""

import functools
import time
from dataclasses import dataclass, field
from typing import Any

from evalsuite.engine.replicas.actors import ActorPool, Event
from evalsuite.engine.replicas.pace import Pace
from evalsuite.engine.replicas.ray_cluster import connect, ray_package, share_out
from evalsuite.engine.replicas.status import WorkerStatus
from evalsuite.engine.replicas.worker import Description, EngineSetup, WorkerError
from evalsuite.errors import ModelError, UserError
from evalsuite.types import ModelIdentity

POLL_SECONDS = 1.0
ANSWERS_KEPT = "The answers so far are kept; the same command continues."


@dataclass(frozen=True, slots=True)
class ReplicaConfig:
    """The user's options for workers."""

    workers: int | None = None
    """Number of workers; None starts as many as the GPUs allow, or without GPUs one per node."""
    address: str | None = None
    """Address of a Ray cluster; None starts a cluster on this machine."""
    gpus: float | None = None
    """GPUs per worker; None is 1 if the cluster has GPUs and the device is not "cpu", else 0."""
    silence: float | None = None
    """Seconds of silence after which a worker counts as hung; None derives them from the workers' pace."""
    patience: float = 300.0
    """Seconds to wait for the first worker's process; clusters that grow take minutes."""

    @classmethod
    def asked(
        cls, workers: int | None, address: str | None, gpus: float | None, silence: float | None = None
    ) -> "ReplicaConfig | None":
        """The configuration from a run's options; None if this process does the work alone.

        Raises:
            UserError: a number is out of range, or an option for workers is given without workers.
        """
        if workers is not None and workers < 1:
            raise UserError(f"--workers must be at least 1, got {workers}.")
        if gpus is not None and gpus < 0:
            raise UserError(f"--gpus-per-replica must not be negative, got {gpus:g}.")
        if silence is not None and not silence > 0:
            raise UserError(f"--worker-timeout must be a positive number of seconds, got {silence:g}.")
        if workers is None and address is None:
            for option, value in (("--gpus-per-replica", gpus), ("--worker-timeout", silence)):
                if value is not None:
                    raise UserError(f"{option} goes with --workers or --ray-address.")
            return None
        return cls(workers, address, gpus, silence)


@dataclass
class WorkerSupervisor:
    """Starts workers when they are first needed. Every method may raise ModelError if no worker can work."""

    setup: EngineSetup
    config: ReplicaConfig
    status: WorkerStatus
    _ours: bool = False
    _last_sign: float = 0.0
    _last_reason: str = field(default="", init=False)

    @functools.cached_property
    def _pool(self) -> ActorPool:
        self._ours = connect(self.config.address)
        self._last_sign = time.monotonic()
        device = self.setup.spec.device
        share = share_out(self.config.workers, self.config.gpus, device)
        return ActorPool(self.setup, share, Pace(self.config.silence))

    @functools.cached_property
    def first_description(self) -> Description:
        """The description of the first worker whose process runs; its weights are not loaded."""
        while not self._pool.described:
            self.events()
        return next(iter(self._pool.described.values()))

    @property
    def size(self) -> int:
        """The number of workers once all of their processes run."""
        return self._pool.share.workers

    @property
    def ready(self) -> list[int]:
        """Workers that have loaded their weights."""
        return self._pool.ready

    def load(self, expected: ModelIdentity, version: str) -> None:
        """Make described workers load their weights, after checking their identity and version."""
        for worker, description in self._pool.described.items():
            place = description.place
            if description.version != version:
                raise ModelError(
                    f"Worker {worker} ({place}) has evalsuite {description.version}, this machine {version}: "
                    "install the same version everywhere."
                )
            for part in ("weights", "tokenizer", "numerics"):
                here, there = getattr(expected, part), getattr(description.identity, part)
                if here != there:
                    raise ModelError(
                        f"Worker {worker} ({place}) has other {part} than expected ({there}, not {here}): "
                        "all workers need the same files, devices and kernels."
                    )
            self.status.entered(worker, "loading", place)
            self._pool.load(worker)

    def give(self, worker: int, ticket: int, tokens: int, kind: str, *work: Any) -> None:
        """Make a ready worker answer a part of `tokens` planned tokens; see `ReplicaWorker.answer`."""
        self._pool.give(worker, ticket, tokens, kind, *work)

    def events(self) -> list[Event]:
        """Wait briefly for results and losses of workers; starts new workers where some are missing."""
        pool = self._pool
        for worker in pool.fill():
            self.status.entered(worker, "waiting for a place")
        if not pool.members:
            raise ModelError(
                f"All workers were lost; the reason of the last loss is: {self._last_reason}. {ANSWERS_KEPT}"
            )
        events = pool.events(POLL_SECONDS) or pool.silent()
        if events or pool.has_begun:
            self._last_sign = time.monotonic()
        elif time.monotonic() - self._last_sign > self.config.patience:
            raise ModelError(
                f"The cluster had no free resources for a worker for {self.config.patience:.0f} s "
                f"({pool.share.cpus:g} CPUs and {pool.share.gpus:g} GPUs each). {ANSWERS_KEPT}"
            )
        return [event for event in events if self._is_for_the_driver(event)]

    def _is_for_the_driver(self, event: Event) -> bool:
        if isinstance(event.result, WorkerError):
            self._last_reason = event.result.reason
            if event.result.for_the_user:
                raise ModelError(event.result.reason)
            if event.ticket is None and not event.lost:
                raise ModelError(f"Worker {event.worker} cannot load the model: {event.result.reason}.")
        if event.result is None:
            self.status.entered(event.worker, "working")
        return event.lost or event.ticket is not None

    def close(self) -> None:
        """End the workers, and the cluster if evalsuite started it."""
        pool: ActorPool | None = self.__dict__.pop("_pool", None)
        if pool:
            pool.close()
        if self._ours:
            ray_package().shutdown()
            self._ours = False
