"""Progress: the same items, and a bar only where someone watches."""

import sys

import pytest

from lm import progress


@pytest.mark.parametrize("setting", ["0", "1"])
def test_items_pass_through(monkeypatch, capsys, setting):
    if setting == "1":
        pytest.importorskip("tqdm")
    monkeypatch.setenv("LOAM_PROGRESS", setting)
    assert list(progress.track([3, 4, 5], "count", unit="item")) == [3, 4, 5]
    drawn = capsys.readouterr().err
    assert ("count: 100%" in drawn and "3/3" in drawn) == (setting == "1")


def test_silence_needs_no_tqdm(monkeypatch):
    monkeypatch.setenv("LOAM_PROGRESS", "0")
    monkeypatch.setitem(sys.modules, "tqdm", None)
    assert list(progress.track(iter([1]), "count")) == [1]
    with progress.bar("bytes", unit="B") as bar:
        bar.update(7)
