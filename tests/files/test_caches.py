"""The user's cache folder, where there is a user and where there is none."""

import pwd
from pathlib import Path

import pytest

from evalsuite.errors import UserError
from evalsuite.files.caches import cache_folder, without_tilde


@pytest.fixture
def nobody(monkeypatch):
    """A user id without HOME and without an entry in the user database."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(key: object) -> None:
        raise KeyError(key)

    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_a_cache_without_a_home_is_not_to_be_had_unless_a_folder_is_named(nobody, monkeypatch, tmp_path):
    with pytest.raises(OSError, match="set XDG_CACHE_HOME"):
        cache_folder("evalsuite")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    with pytest.raises(OSError, match="no home folder"):
        cache_folder("evalsuite")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("evalsuite") == tmp_path / "evalsuite"


def test_a_tilde_without_a_home_is_a_sentence(nobody):
    with pytest.raises(UserError, match="give the full path"):
        without_tilde("~/model")
    with pytest.raises(UserError, match="give the full path"):
        without_tilde("~no-such-user-here/model")
    assert without_tilde("org/model") == Path("org/model")


def test_only_one_module_asks_for_the_home_folder():
    package = Path(__file__).parents[2] / "evalsuite"
    asking = {path.name for path in package.rglob("*.py") if "Path.home()" in path.read_text("utf-8")}
    assert asking <= {"digests.py", "file_digests.py"}
