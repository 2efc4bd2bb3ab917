"""Conversions are made once, whole, and by one process at a time."""

import threading
import time

import pytest

from evalsuite.checkpoints import model_folder, resolve, tokenizer_digest, weights_digest
from evalsuite.checkpoints.files import context_window
from evalsuite.errors import ModelError
from evalsuite.nemo import convert
from tests.nemo.archives import gpt, write


@pytest.fixture
def archive(tmp_path, pieces):
    return write(tmp_path, gpt(layers=1), pieces)


def test_of_many_that_need_a_conversion_one_makes_it(archive, monkeypatch):
    made = []
    write_model = convert.write_model

    def slowly(*arguments):
        made.append(arguments)
        time.sleep(0.3)
        return write_model(*arguments)

    monkeypatch.setattr(convert, "write_model", slowly)
    files = resolve(str(archive))
    folders = []
    threads = [threading.Thread(target=lambda: folders.append(model_folder(files))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(folders) == 4
    assert len(set(folders)) == 1
    assert (folders[0] / "config.json").is_file()


def test_what_a_killed_conversion_left_is_cleared_away(archive, own_cache):
    folder = model_folder(resolve(str(archive)))
    left = folder.parent / ".model.unfinished-killed"
    folder.rename(left)
    assert model_folder(resolve(str(archive))) == folder
    assert {path.name for path in folder.parent.iterdir()} == {"lock", "model"}


def test_a_cache_that_cannot_be_written_is_one_sentence(archive, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match="set XDG_CACHE_HOME to another folder"):
        model_folder(resolve(str(archive)))


def test_identity_is_the_archives_content(archive, tmp_path, pieces):
    files = resolve(str(archive))
    (tmp_path / "other").mkdir()
    other = resolve(str(write(tmp_path / "other", gpt(layers=1, seed=1), pieces)))
    copy = tmp_path / "copy.nemo"
    copy.write_bytes(archive.read_bytes())
    same = resolve(str(copy))
    for digest in (weights_digest, tokenizer_digest):
        assert digest(files) == digest(same) != digest(other)
    assert weights_digest(files) != tokenizer_digest(files)
    assert context_window(files) == 128
