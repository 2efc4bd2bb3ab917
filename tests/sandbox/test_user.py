"""Root is not needed: all tiers work for an ordinary user, with any Python that he can start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from evalsuite.sandbox.folder import empty
from tests.sandbox.conftest import TIERS

NOBODY_SPECIAL = 1000
PACKAGE = str(Path(__file__).resolve().parents[2])
SCRIPT = """
import json, os, sys
sys.path.insert(0, sys.argv[2])
from evalsuite.sandbox import Program, open_sandbox

programs = [
    Program("import os\\ndef who(): return os.getuid()", "assert who() == 1000"),
    Program("import os\\ndef close(): os.chmod('.', 0)", "close()"),
    Program("import os\\ndef deep():\\n    for _ in range(1500):\\n"
            "        os.mkdir('d')\\n        os.chdir('d')\\n    os.chmod('.', 0)", "deep()"),
    Program("import numpy_is_not_needed\\n", "assert True"),
    Program("def write():\\n    open('file', 'w').write('x')\\n    return open('file').read()",
            "assert write() == 'x'"),
    Program("from concurrent.futures import ThreadPoolExecutor\\n"
            "def both():\\n    with ThreadPoolExecutor(2) as pool:\\n"
            "        return list(pool.map(abs, [-1, 2]))",
            "assert both() == [1, 2]"),
    Program("def read(): return open('/etc/passwd').read()", "assert read()"),
]
with open_sandbox(workers=1, tier=sys.argv[1], allow_unsafe=True) as sandbox:
    print(json.dumps([os.getuid(), sandbox.tier.name, *(v.outcome for v in sandbox.run(programs))]))
"""


def as_user(*command):
    return subprocess.run(
        command,
        user=NOBODY_SPECIAL,
        group=NOBODY_SPECIAL,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
    )


def usable(python):
    """Whether the user can start this Python, it is new enough, and it can read the package."""
    check = (
        f"import sys; sys.path.insert(0, {PACKAGE!r}); assert sys.version_info >= (3, 11); import "
        "evalsuite.sandbox"
    )
    try:
        return as_user(python, "-c", check).returncode == 0
    except OSError:
        return False


@pytest.fixture(scope="module")
def python():
    if os.geteuid() != 0:
        pytest.skip("the other tests run as an ordinary user already")
    for each in (sys.executable, "/usr/bin/python3"):
        if usable(each):
            return each
    return pytest.skip("needs a Python that an ordinary user can start")


@pytest.mark.parametrize("tier", TIERS)
def test_an_ordinary_user_has_every_tier(python, tier):
    if tier == "bubblewrap" and not Path("/usr/bin/bwrap").exists():
        pytest.skip("needs bubblewrap for every Python")
    done = as_user(python, "-c", SCRIPT, tier, PACKAGE)
    assert done.returncode == 0, done.stderr
    uid, name, *outcomes = json.loads(done.stdout)
    assert (uid, name) == (NOBODY_SPECIAL, tier)
    assert outcomes == ["passed", "passed", "passed", "error", "passed", "passed", "error"]


def test_no_depth_and_no_mode_keeps_a_folder_from_being_emptied(tmp_path):
    there = os.getcwd()
    os.chdir(tmp_path)
    try:
        for _ in range(1500):
            os.mkdir("d")
            os.symlink("/etc", "way")
            os.chdir("d")
        os.chmod(".", 0)
    finally:
        os.chdir(there)
    empty(str(tmp_path))
    assert list(tmp_path.iterdir()) == []
    assert Path("/etc/passwd").exists()
