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
