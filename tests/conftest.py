"""Shared fixtures: where real inputs lie, and a home folder of each test's own."""

import importlib.util
import os
import secrets
import subprocess
from pathlib import Path

import pytest
from hypothesis import settings

from lm import store_access
from tests.stores import s3_server

# A busy machine fails no test, and one commit has one result; `explore` draws other examples at each run.
settings.register_profile("loam", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile(os.environ.get("LOAM_EXAMPLES", "loam"))

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data():
    """A function that gives the path of a real input, or skips the test and names what is missing."""
    root = Path(os.environ.get("LOAM_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")

    def locate(relative: str) -> Path:
        path = root / relative
        if not path.exists():
            pytest.skip(f"real input not here: {relative}")
        return path

    return locate


@pytest.fixture
def one_thread():
    """One thread of torch: threads that wait for each other on a busy machine cost tiny tensors more than they give."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def loam_home(tmp_path, monkeypatch):
    """An empty `LOAM_HOME` for one test."""
    home = tmp_path / "home"
    monkeypatch.setenv("LOAM_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def s3():
    """An S3 server on this machine."""
    with s3_server() as server:
        yield server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder of this machine that copies of remote files are kept in."""
    monkeypatch.setenv("LOAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(params=["memory", "s3"])
def store_url(request, cache):
    """The URL of an empty prefix in a store: of this process, and of an S3 server."""
    pytest.importorskip("upath", reason="stores need universal_pathlib")
    if request.param == "s3":
        return f"{request.getfixturevalue('s3').bucket()}/prefix"
    return f"memory://{secrets.token_hex(6)}"


@pytest.fixture
def little_patience(monkeypatch):
    """Requests to a store are tried three times, without long pauses."""
    monkeypatch.setattr(store_access, "PATIENCE_S", 0)
    monkeypatch.setattr(store_access, "_FIRST_PAUSE_S", 0.001)
    if importlib.util.find_spec("s3fs"):
        monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of one MiB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)
