"""Reaching Ray: a cluster of our own on this machine, or one that is there. Only this and `pool` import
ray."""

import logging
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import ModuleType

from evalsuite.errors import UserError

OBJECT_STORE_BYTES = 256 * 2**20
"""On this machine: what workers send and have not yet been heard on; a part is well under a megabyte."""

LONGEST_FOLDER = 45
"""Characters: Ray adds `session_2026-11-30_12-00-00_123456_1234567/sockets/plasma_store` to it."""

REACHED_WITHIN = 10.0
"""Seconds in which a cluster's address has to take a connection."""


@dataclass(frozen=True, slots=True)
class Share:
    """What each worker gets of the cluster."""

    workers: int
    cpus: float
    gpus: float

    @property
    def threads(self) -> int:
        """Of a worker."""
        return max(1, int(self.cpus))


def ray_package() -> ModuleType:
    """The package `ray`, told not to report usage; raises UserError without it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError(
            "--workers and --ray-address need the package ray: pip install 'evalsuite[ray]'."
        ) from None
    return ray


def connect(address: str | None) -> bool:
    """Join the cluster at `address`, or start one on this machine; whether it is ours to shut down.

    A connection that the process has already is used as it is.

    Raises:
        UserError: there is no cluster at `address`.
    """
    ray = ray_package()
    if ray.is_initialized():
        return False
    if address:
        _refuse_unreachable(address)
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    with _signals_kept(), _authentication_unsaid():
        try:
            if address:
                ray.init(address=address, **quiet)
            else:
                ray.init(
                    address="local",
                    include_dashboard=False,
                    num_cpus=len(os.sched_getaffinity(0)),
                    object_store_memory=OBJECT_STORE_BYTES,
                    _node_ip_address="127.0.0.1",
                    _temp_dir=_short_folder(),
                    **quiet,
                )
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            where = f"There is no Ray cluster at {address}" if address else "Ray cannot be started here"
            raise UserError(f"{where}: {reason}") from None
    # Ray prints at length on standard output, where results belong, that a worker was lost; the run log says
    # it.
    ray._private.worker.print_to_stdstream = lambda *said, **how: None
    return True


def _short_folder() -> str | None:
    """A folder for Ray's files whose sockets have names that Linux takes (107 bytes); None where Ray's own is
    short.

    Schedulers give jobs a TMPDIR of 60 characters and more.
    """
    if (
        len(os.fsencode(os.path.join(os.environ.get("RAY_TMPDIR", tempfile.gettempdir()), "ray")))
        <= LONGEST_FOLDER
    ):
        return None
    for folder in ("/tmp", "/dev/shm", "/var/tmp"):
        if os.access(folder, os.W_OK | os.X_OK):
            return os.path.join(folder, f"ray-{os.getuid()}")
    raise UserError(
        f"Ray's sockets need a folder with a name of at most {LONGEST_FOLDER} characters: set TMPDIR to one for --workers."
    )


def _refuse_unreachable(address: str) -> None:
    """Ray itself tries for many minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit() and "/" not in address):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_WITHIN).close()
    except OSError as error:
        raise UserError(f"There is no Ray cluster at {address}: {error.strerror or error}.") from None


def share_out(workers: int | None, gpus: float | None, device: str) -> Share:
    """What each worker gets of the cluster that is connected.

    Args:
        workers: how many; None is one for each share of the GPUs, without GPUs one for each node.
        gpus: of a worker; None is one where the cluster has some and `device` is not "cpu".
        device: as the user asked for it.

    Raises:
        UserError: the cluster has too few GPUs for a single worker.
    """
    ray = ray_package()
    there = ray.cluster_resources()
    if gpus is None:
        gpus = 1.0 if there.get("GPU") and device != "cpu" else 0.0
    if gpus > there.get("GPU", 0):
        raise UserError(
            f"--gpus-per-replica {gpus:g}: the cluster has {there.get('GPU', 0):g} GPU(s), too few for one worker."
        )
    nodes = sum(node["Alive"] for node in ray.nodes())
    workers = workers or (int(there["GPU"] // gpus) if gpus else nodes)
    cores = there.get("CPU", 1.0) / workers
    return Share(workers, float(int(cores)) if cores >= 1 else int(cores * 1000) / 1000, gpus)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray takes SIGTERM for itself; the command line has its own answer to it."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with suppress(ValueError):  # not the main thread, where Ray changes nothing
            signal.signal(signal.SIGTERM, before)


@contextmanager
def _authentication_unsaid() -> Iterator[None]:
    """Without Ray's remark that its connections need a token, which it makes and finds by itself."""
    log = logging.getLogger("ray._private.authentication.authentication_token_setup")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before
