"""The folder of caches: the first that can be written to."""

from pathlib import Path

import pytest

import lm.code_cache
from lm.code_cache import code_cache


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """An installation below `tmp_path`, and a folder for its user."""
    (tmp_path / "lm").mkdir()
    monkeypatch.setattr(lm.code_cache, "__file__", str(tmp_path / "lm" / "code_cache.py"))
    monkeypatch.setenv("LOAM_CACHE", str(tmp_path / "user"))
    code_cache.cache_clear()
    yield
    code_cache.cache_clear()


def block(path):
    """Put a file where a folder would be made, since a test may run as root, who may write everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("in the way")


def test_the_installation_is_the_default(tmp_path):
    assert code_cache("names") == tmp_path / "lm" / "__pycache__" / "names"
    assert code_cache("names").is_dir()


def test_a_configured_folder_comes_first(tmp_path):
    assert code_cache("names", str(tmp_path / "chosen")) == tmp_path / "chosen"
    block(tmp_path / "file")
    assert code_cache("names", str(tmp_path / "file" / "below")) == tmp_path / "lm" / "__pycache__" / "names"


def test_a_read_only_installation_leaves_the_users_folder(tmp_path, monkeypatch):
    block(tmp_path / "lm" / "__pycache__" / "names")
    assert code_cache("names") == tmp_path / "user" / "names"
    code_cache.cache_clear()
    monkeypatch.delenv("LOAM_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert code_cache("names") == tmp_path / "home" / "loam" / "names"
    assert Path(code_cache("names")).is_dir()


def test_a_folder_is_named_also_where_none_can_be_made(tmp_path):
    block(tmp_path / "lm" / "__pycache__" / "names")
    block(tmp_path / "user")
    assert code_cache("names") == tmp_path / "user" / "names"


def test_a_user_without_a_home_has_no_cache(tmp_path, monkeypatch):
    def fail():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("LOAM_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", fail)
    block(tmp_path / "lm" / "__pycache__" / "names")
    assert code_cache("names") == tmp_path / "lm" / "__pycache__" / "names"
