"""Shared fixtures: where real inputs lie, and a home folder of each test's own."""

import os
from pathlib import Path

import pytest

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
def loam_home(tmp_path, monkeypatch):
    """An empty `LOAM_HOME` for one test."""
    home = tmp_path / "home"
    monkeypatch.setenv("LOAM_HOME", str(home))
    return home
