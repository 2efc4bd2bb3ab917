import hashlib
import json
import os
import shutil

import pytest

from evalsuite.checkpoints import ModelFiles, file_digests, tokenizer_digest, weights_digest
from evalsuite.errors import ModelError


def of(folder):
    files = ModelFiles("mine", folder)
    return weights_digest(files), tokenizer_digest(files)


def test_an_unchanged_file_is_hashed_once(folder, monkeypatch):
    expected = of(folder)
    monkeypatch.setattr(file_digests, "_hash_file", None)
    assert of(folder) == expected


def test_a_file_that_changed_in_size_or_time_is_hashed_again(folder):
    path = folder / "tokenizer.json"
    path.write_text("one")
    assert file_digests.file_digest(path) == hashlib.sha256(b"one").hexdigest()
    path.write_text("three")
    assert file_digests.file_digest(path) == hashlib.sha256(b"three").hexdigest()
    path.write_text("seven")
    os.utime(path, ns=(1, 1))
    assert file_digests.file_digest(path) == hashlib.sha256(b"seven").hexdigest()


@pytest.mark.parametrize("way", ["written in place", "replaced by a copy", "moved over it", "linked anew"])
def test_content_that_changes_is_noticed_whatever_size_and_date_say(tmp_path, way):
    path, other = tmp_path / "weights", tmp_path / "other"
    path.write_bytes(bytes(300_000))
    other.write_bytes(bytes(150_000) + b"\1" + bytes(149_999))  # between the blocks of the probe
    if way == "linked anew":
        path.rename(tmp_path / "first")
        path.symlink_to("first")
    for one in tmp_path.iterdir():
        os.utime(one, ns=(7, 7))
    first = file_digests.file_digest(path)
    match way:
        case "written in place":
            path.write_bytes(other.read_bytes())
        case "replaced by a copy":
            path.unlink()
            shutil.copy(other, path)
        case "moved over it":
            other.replace(path)
        case "linked anew":
            path.unlink()
            path.symlink_to("other")
    os.utime(path, ns=(7, 7))
    assert file_digests.file_digest(path) == hashlib.sha256(path.read_bytes()).hexdigest() != first


@pytest.mark.parametrize("size", [1, 100_000, 131_072, 131_073, 5_000_000])
def test_a_file_system_without_times_of_change_is_told_by_the_probe(tmp_path, monkeypatch, size):
    path = tmp_path / "weights"

    def state_without_times(one):
        return file_digests._probe(one, one.stat().st_size)

    monkeypatch.setattr(file_digests, "_state", state_without_times)
    path.write_bytes(bytes(size))
    first = file_digests.file_digest(path)
    path.write_bytes(b"\1" * size)  # other weights: everything differs
    assert file_digests.file_digest(path) != first


def test_a_file_that_is_written_to_while_it_is_read_is_no_model_yet(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_bytes(b"half")
    hash_file = file_digests._hash_file

    def hash_while_somebody_writes(one):
        digest = hash_file(one)
        with path.open("ab") as file:
            file.write(b"the rest")
        return digest

    monkeypatch.setattr(file_digests, "_hash_file", hash_while_somebody_writes)
    with pytest.raises(ModelError, match="changes while it is read"):
        file_digests.file_digest(path)


def test_verifying_reads_the_file_whatever_the_hint_says(folder, own_cache):
    path = folder / "tokenizer.json"
    right = file_digests.file_digest(path)
    hints = own_cache / "file_digests.json"
    wrong = {file: (state, "0" * 64) for file, (state, _) in json.loads(hints.read_text()).items()}
    hints.write_text(json.dumps(wrong))
    assert file_digests.file_digest(path) == "0" * 64
    assert file_digests.file_digest(path, verify=True) == right
    assert file_digests.file_digest(path) == right


@pytest.mark.parametrize("content", ["{", "[]", '{"x": 3}', '{"x": [1]}', ""])
def test_a_corrupt_hint_file_is_ignored_and_replaced(folder, own_cache, content):
    own_cache.mkdir(parents=True)
    (own_cache / "file_digests.json").write_text(content)
    of(folder)
    assert len(json.loads((own_cache / "file_digests.json").read_text())) >= 3


def test_a_cache_that_cannot_be_written_is_let_be(folder, tmp_path, monkeypatch):
    blocked = tmp_path / "a_file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert of(folder)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"gone\.json cannot be read: No such file"):
        file_digests.file_digest(tmp_path / "gone.json")


def test_parts_of_a_file_have_a_digest_of_their_own(tmp_path, monkeypatch):
    path = tmp_path / "weights"
    path.write_bytes(b"abcdefgh")
    parts = [(1, 3), (6, 1)]
    expected = hashlib.sha256(b"bcdg").hexdigest()
    assert file_digests.parts_digest(path, parts) == expected
    assert file_digests.file_digest(path) == hashlib.sha256(b"abcdefgh").hexdigest()
    assert file_digests.parts_digest(path, parts) == expected
    path.write_bytes(b"aBcdefgh")
    assert file_digests.parts_digest(path, parts) == hashlib.sha256(b"Bcdg").hexdigest()
    assert file_digests.parts_digest(path, [(0, 1)]) == hashlib.sha256(b"a").hexdigest()
    monkeypatch.setattr(file_digests, "_hash_parts", None)  # nothing is hashed twice
    assert file_digests.parts_digest(path, [(0, 1)]) == hashlib.sha256(b"a").hexdigest()
