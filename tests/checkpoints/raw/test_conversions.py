"""Only the latest conversions are kept, and those that a process holds."""

import os
import subprocess
import sys

from evalsuite.checkpoints.raw import conversions

HOLD = (
    "import sys, pathlib; from evalsuite.checkpoints.raw.conversions import hold\n"
    "hold(pathlib.Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
)


def conversion(homes, name: str, age: int):
    folder = homes / name
    (folder / "model").mkdir(parents=True)
    os.utime(folder, (1e9 - age, 1e9 - age))
    return folder


def test_older_conversions_are_removed(tmp_path):
    folders = [conversion(tmp_path, name, age) for age, name in enumerate("abcd")]
    conversions.remove_older(tmp_path)
    assert [folder.is_dir() for folder in folders] == [True, True, False, False]


def test_a_conversion_that_another_process_holds_is_kept_until_it_ends(tmp_path):
    folders = [conversion(tmp_path, name, age) for age, name in enumerate("abcd")]
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folders[3]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    os.utime(folders[3], (1, 1))
    conversions.remove_older(tmp_path)
    assert [folder.is_dir() for folder in folders] == [True, True, False, True]
    process.communicate("")
    conversions.remove_older(tmp_path)
    assert [folder.is_dir() for folder in folders] == [True, True, False, False]


def test_a_process_holds_what_it_asked_for_last(tmp_path):
    folders = [conversion(tmp_path, name, age) for age, name in enumerate("abcd")]
    conversions.hold(folders[3])
    conversions.hold(folders[2])
    os.utime(folders[2], (2, 2))
    os.utime(folders[3], (1, 1))
    conversions.remove_older(tmp_path)
    assert [folder.is_dir() for folder in folders] == [True, True, True, False]
