"""An engine that does what a test wants of it, made anew in each worker: answers, fails, or takes its process
down."""

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalsuite.checkpoints import ModelFiles
from evalsuite.engine.protocol import Answered, EngineDefaults, Planned
from evalsuite.engine.settings import EngineSpec
from evalsuite.errors import ModelError
from evalsuite.types import ModelIdentity, Score, ScoreRequest

PART = 8
"""Requests."""


def request(number: int) -> ScoreRequest:
    return ScoreRequest((number, 1), (2,))


@dataclass(frozen=True)
class Faults:
    """What goes wrong; numbers are of requests."""

    kill: frozenset[int] = frozenset()
    """Whoever is asked these loses its process."""
    kill_once: frozenset[int] = frozenset()
    """As `kill`, but the first time only."""
    stop_once: frozenset[int] = frozenset()
    """Whoever is asked these hangs: its process is stopped. The first time only."""
    refuse: frozenset[int] = frozenset()
    """Whoever is asked these raises an exception."""
    model: str = ""
    """Every request raises a ModelError that says this."""
    at_start: str = ""
    """ "stop": the first process is stopped before its first word; "init": as it is made."""
    at_load: str = ""
    """ "exit", or what an exception says."""
    identity_differs: bool = False
    """Every process has weights of its own."""
    seconds: float = 0.0
    """That a part takes."""


@dataclass(frozen=True)
class FaultySetup:
    """In place of `EngineSetup`."""

    folder: Path
    faults: Faults
    spec: EngineSpec = field(default_factory=lambda: EngineSpec("faulty", ModelFiles.elsewhere("made up")))
    driver: int = field(default_factory=os.getpid)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Read in the worker's process as it is made."""
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self._stop("init")

    def make(self) -> "FaultyEngine":
        self._stop("stop")
        return FaultyEngine(self.folder, self.faults)

    def _stop(self, when: str) -> None:
        """Stop this process where it is a worker's, the first time only."""
        first_time = self.folder / "stopped"
        if self.faults.at_start == when and os.getpid() != self.driver and not first_time.exists():
            first_time.touch()
            os.kill(os.getpid(), signal.SIGSTOP)


class FaultyEngine(EngineDefaults):
    tokenizer = None
    max_length = None
    notes = ("answers are made up",)

    def __init__(self, folder: Path, faults: Faults) -> None:
        self.folder, self.faults = folder, faults

    @property
    def identity(self) -> ModelIdentity:
        weights = str(os.getpid()) if self.faults.identity_differs else "weights"
        return ModelIdentity(weights, "tokenizer", "numerics")

    def partition(self, requests):
        return [tuple(requests[start : start + PART]) for start in range(0, len(requests), PART)]

    def load(self) -> None:
        if self.faults.at_load == "exit":
            os._exit(1)
        if self.faults.at_load:
            raise RuntimeError(self.faults.at_load)

    def score(self, requests, answered=()):
        yield Planned(len(requests))
        time.sleep(self.faults.seconds)
        numbers = {one.context[0] for one in requests if one not in answered}
        if self.faults.model:
            raise ModelError(self.faults.model)
        if numbers & self.faults.refuse:
            raise ValueError(f"cannot do\n{sorted(numbers)}")
        first_time = self.folder / "killed"
        if numbers & self.faults.stop_once and not first_time.exists():
            first_time.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        if numbers & self.faults.kill or (numbers & self.faults.kill_once and not first_time.exists()):
            first_time.touch()
            os._exit(1)
        with (self.folder / f"{os.getpid()}.asked").open("a") as file:
            file.writelines(f"{number}\n" for number in sorted(numbers))
        yield Answered(tuple((one, answer(one)) for one in requests), len(requests))


def answer(one: ScoreRequest) -> Score:
    return Score((-one.context[0] / 7,), is_greedy=one.context[0] % 2 == 0)


class Idle:
    """Takes a place in the cluster."""

    def ping(self) -> None: ...
