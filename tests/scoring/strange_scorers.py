"""Functions that a scoring process calls in the tests; each goes wrong in its own way."""

import os
import sys
import threading
import time


def act(what: str, value=None):
    """Do what is asked and return `value`."""
    return {
        "return": lambda: value,
        "hang": lambda: time.sleep(1000),
        "spin": _spin,
        "huge power": lambda: 3 ** (10**9),
        "work": lambda: _work(value),
        "die": lambda: os._exit(3),
        "die later": lambda: threading.Timer(0.1, os._exit, [3]).start(),
        "raise": lambda: 1 / 0,
        "exit": lambda: sys.exit("enough"),
        "eat memory": lambda: len(bytearray(8 << 30)),
        "print": lambda: print("a line that looks like a verdict\n" * 100) or value,
        "megabytes": lambda: "x" * value,
        "no json": lambda: {1, 2},
        "pid": os.getpid,
        "sleep": lambda: time.sleep(value) or value,
    }[what]()


def _spin():
    while True:
        pass


def _work(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
    return seconds


def judge(gold: str, text: str):
    """A scorer that does what the text says."""
    if gold == "broken":
        raise ValueError("no such answer")
    if text in ("spin", "raise", "die"):
        act(text)
    return {"correct": gold == text, "extracted": text}
