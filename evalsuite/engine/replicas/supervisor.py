"""Starts, checks, loads and replaces workers."""

import functools
import time
from dataclasses import dataclass, field
from typing import Any

from evalsuite.engine.replicas.actors import Event, Pool
from evalsuite.engine.replicas.pace import Pace
from evalsuite.engine.replicas.ray_cluster import connect, ray_package, share_out
from evalsuite.engine.replicas.status import WorkerStatus
from evalsuite.engine.replicas.worker import Description, EngineSetup, WorkerError
from evalsuite.errors import ModelError, UserError
from evalsuite.types import ModelIdentity

POLL_SECONDS = 1.0
KEPT = "The answers so far are kept; the same command continues."


@dataclass(frozen=True, slots=True)
class ReplicaConfig:
    """What the user asked for."""

    workers: int | None = None
    """None is one for each share of the GPUs, without GPUs one for each node."""
    address: str | None = None
    """Of a Ray cluster; None starts one on this machine."""
    gpus: float | None = None
    """Of a worker; None is one where the cluster has some and the device is not "cpu"."""
    silence: float | None = None
    """Seconds after which a worker that says nothing counts as hung; None derives them from the workers'
    pace."""
    patience: float = 300.0
    """Seconds to wait until a first worker finds a place; clusters that grow take minutes."""

    @classmethod
    def asked(
        cls, workers: int | None, address: str | None, gpus: float | None, silence: float | None = None
    ) -> "ReplicaConfig | None":
        """From the options of a run; None where this process does the work alone.

        Raises:
            UserError: numbers that make no sense, or GPUs for workers that were not asked for.
        """
        if workers is not None and workers < 1:
            raise UserError(f"--workers must be at least 1, not {workers}.")
        if gpus is not None and gpus < 0:
            raise UserError(f"--gpus-per-replica must not be negative, as {gpus:g} is.")
        if silence is not None and not silence > 0:
            raise UserError(f"--worker-timeout must be a positive number of seconds, not {silence:g}.")
        if workers is None and address is None:
            for option, value in (("--gpus-per-replica", gpus), ("--worker-timeout", silence)):
                if value is not None:
                    raise UserError(f"{option} goes with --workers or --ray-address.")
            return None
        return cls(workers, address, gpus, silence)


@dataclass
class WorkerSupervisor:
    """Nothing starts before it is used. Every method may raise ModelError: nobody can do the work."""

    setup: EngineSetup
    wanted: ReplicaConfig
    roll: WorkerStatus
    _ours: bool = False
    _last_sign: float = 0.0
    _last_reason: str = field(default="", init=False)

    @functools.cached_property
    def _pool(self) -> Pool:
        self._ours = connect(self.wanted.address)
        self._last_sign = time.monotonic()
        device = self.setup.spec.device
        share = share_out(self.wanted.workers, self.wanted.gpus, device)
        return Pool(self.setup, share, Pace(self.wanted.silence))

    @functools.cached_property
    def first_description(self) -> Description:
        """Of the first worker that finds a place; its weights are not loaded."""
        while not self._pool.described:
            self.events()
        return next(iter(self._pool.described.values()))

    @property
    def size(self) -> int:
        """How many workers there are when all have found a place."""
        return self._pool.share.workers

    @property
    def ready(self) -> list[int]:
        """Workers that have loaded their weights."""
        return self._pool.ready

    def load(self, expected: ModelIdentity, version: str) -> None:
        """Have workers that are not ready load their weights, if they are what is `expected`."""
        for worker, found in self._pool.described.items():
            if found.version != version:
                raise ModelError(
                    f"Worker {worker} ({found.place}) has evalsuite {found.version}, this machine {version}: "
                    "install the same everywhere."
                )
            for part in ("weights", "tokenizer", "numerics"):
                here, there = getattr(expected, part), getattr(found.identity, part)
                if here != there:
                    raise ModelError(
                        f"Worker {worker} ({found.place}) has other {part} than expected ({there}, not {here}): "
                        "all workers need the same files, devices and kernels."
                    )
            self.roll.entered(worker, "loading", found.place)
            self._pool.load(worker)

    def give(self, worker: int, ticket: int, tokens: int, kind: str, *work: Any) -> None:
        """Hand a ready worker the arguments of `Worker.answer`, for a part of so many planned tokens."""
        self._pool.give(worker, ticket, tokens, kind, *work)

    def events(self) -> list[Event]:
        """What became of the work, and who was lost, as soon as there is something; new workers are
        started."""
        pool = self._pool
        for worker in pool.fill():
            self.roll.entered(worker, "waiting for a place")
        if not pool.members:
            raise ModelError(
                f"All workers were lost, the last one because of this: {self._last_reason}. {KEPT}"
            )
        events = pool.events(POLL_SECONDS) or pool.silent()
        if events or pool.has_begun:
            self._last_sign = time.monotonic()
        elif time.monotonic() - self._last_sign > self.wanted.patience:
            raise ModelError(
                f"The cluster had no place for a worker for {self.wanted.patience:.0f} s "
                f"({pool.share.cpus:g} CPUs and {pool.share.gpus:g} GPUs each). {KEPT}"
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
            self.roll.entered(event.worker, "working")
        return event.lost or event.ticket is not None

    def close(self) -> None:
        """End the workers, and the cluster if it is our own."""
        pool: Pool | None = self.__dict__.pop("_pool", None)
        if pool:
            pool.close()
        if self._ours:
            ray_package().shutdown()
            self._ours = False
