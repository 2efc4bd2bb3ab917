"""Keeps lm-eval's messages out of evalsuite's output, and sets its random seeds."""

import logging
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

SEEDS = (0, 1234)
"""Python's and numpy's seed at the start of a run of lm-eval 0.4.13 (`defaults.py`)."""
FEWSHOT_SEED = 1234


@contextmanager
def quiet() -> Iterator[None]:
    """Limit the loggers of lm-eval and `datasets` to errors, and disable progress bars."""
    import datasets

    loggers = [logging.getLogger(name) for name in ("lm_eval", "lm-eval", "datasets")]
    levels = [logger.level for logger in loggers]
    bars = datasets.are_progress_bars_disabled()
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        datasets.disable_progress_bars()
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()


@contextmanager
def seeded() -> Iterator[None]:
    """Seed the global random streams as a new run of lm-eval does, since some tasks shuffle with them."""
    import numpy as np

    before = random.getstate(), np.random.get_state()
    random.seed(SEEDS[0])
    np.random.seed(SEEDS[1])
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


@contextmanager
def code_metric_allowed() -> Iterator[None]:
    """Allow the hub's `code_eval` metric to run programs, which the user has permitted."""
    before = os.environ.get("HF_ALLOW_CODE_EVAL")
    os.environ["HF_ALLOW_CODE_EVAL"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HF_ALLOW_CODE_EVAL"]
        else:
            os.environ["HF_ALLOW_CODE_EVAL"] = before
