"""Connects to Ray: starts a cluster on this machine, or joins one. Only this and `actors` import ray."""

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
"""Size of this machine's object store, for results not yet read; a part is well under a megabyte."""

LONGEST_FOLDER = 45
"""Most characters of a folder: Ray adds `session_2026-11-30_12-00-00_123456_1234567/sockets/plasma_store`."""

REACHED_WITHIN = 10.0
"""Seconds within which a cluster's address must accept a connection."""


@dataclass(frozen=True, slots=True)
class Share:
    """The number of workers, and the CPUs and GPUs of each."""

    workers: int
    cpus: float
    gpus: float

    @property
    def threads(self) -> int:
        """Threads of a worker."""
        return max(1, int(self.cpus))


def ray_package() -> ModuleType:
    """The package `ray`, with its usage reports off; raises UserError if it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError(
            "--workers and --ray-address need the package ray: pip install 'evalsuite[ray]'."
        ) from None
    return ray


def connect(address: str | None) -> bool:
    """Join the cluster at `address`, or start one here; returns whether evalsuite must shut it down.

    An existing connection of this process is reused.

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
            where = (
                f"There is no Ray cluster at {address}"
                if address
                else "Ray cannot be started on this machine"
            )
            raise UserError(f"{where}: {reason}") from None
    # Ray reports lost workers at length on standard output, which is for results; the run log reports them.
    ray._private.worker.print_to_stdstream = lambda *arguments, **options: None
    return True


def _short_folder() -> str | None:
    """A folder for Ray's files with a short enough name; None if Ray's own is short enough.

    Linux limits names of sockets to 107 bytes, and job schedulers set a TMPDIR of 60 characters and more.
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
        f"Ray's sockets need a folder with a name of at most {LONGEST_FOLDER} characters: "
        "set TMPDIR to such a folder for --workers."
    )


def _refuse_unreachable(address: str) -> None:
    """Raise UserError if the address accepts no connection; Ray itself would retry for many minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit() and "/" not in address):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_WITHIN).close()
    except OSError as error:
        raise UserError(f"There is no Ray cluster at {address}: {error.strerror or error}.") from None


def share_out(workers: int | None, gpus: float | None, device: str) -> Share:
    """Divide the connected cluster among workers.

    Args:
        workers: number of workers; None starts as many as the GPUs allow, or without GPUs one per node.
        gpus: GPUs per worker; None is 1 if the cluster has GPUs and `device` is not "cpu", else 0.
        device: the device that the user requested.

    Raises:
        UserError: the cluster has too few GPUs for a single worker.
    """
    ray = ray_package()
    resources = ray.cluster_resources()
    if gpus is None:
        gpus = 1.0 if resources.get("GPU") and device != "cpu" else 0.0
    if gpus > resources.get("GPU", 0):
        raise UserError(
            f"--gpus-per-replica {gpus:g}: the cluster has {resources.get('GPU', 0):g} GPU(s), "
            "too few for one worker."
        )
    nodes = sum(node["Alive"] for node in ray.nodes())
    workers = workers or (int(resources["GPU"] // gpus) if gpus else nodes)
    cores = resources.get("CPU", 1.0) / workers
    return Share(workers, float(int(cores)) if cores >= 1 else int(cores * 1000) / 1000, gpus)


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Restore the command line's own SIGTERM handler, which Ray replaces."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        with suppress(ValueError):  # outside of the main thread, Ray changes no handler
            signal.signal(signal.SIGTERM, handler)


@contextmanager
def _authentication_unsaid() -> Iterator[None]:
    """Silence Ray's message that its connections need a token, which it creates and finds by itself."""
    log = logging.getLogger("ray._private.authentication.authentication_token_setup")
    was_disabled, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = was_disabled
