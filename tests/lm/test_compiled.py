"""Compiled loops: an edit in any contributing file recompiles them, and an edit elsewhere does not."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lm import compiled

ROOT = Path(__file__).resolve().parents[2]
CONSTANTS = "STEP = 3\n"
INNER = """
from lm.compiled import compiled
from lm.constants import STEP

@compiled
def advance(x):
    return x + STEP
"""
OUTER = """
from lm.compiled import compiled
from lm.inner import advance

@compiled
def twice(x):
    return advance(advance(x))
"""
REPORT = """
from lm.compiled import drop_stale_code
from lm.outer import twice
value = twice(10)
print(value, sum(twice.stats.cache_hits.values()), drop_stale_code())
"""


@pytest.fixture
def copy(tmp_path):
    """A copy of `lm`'s root modules with three small ones: a constant, its user, and the user's caller."""
    (tmp_path / "lm").mkdir()
    for path in (ROOT / "lm").glob("*.py"):
        shutil.copy(path, tmp_path / "lm")
    for name, source in {"constants": CONSTANTS, "inner": INNER, "outer": OUTER}.items():
        (tmp_path / "lm" / f"{name}.py").write_text(source)
    return tmp_path


def run(copy, **environment):
    """The value of the outermost function, how often its cache was hit, and the number of stale folders removed."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("NUMBA_CACHE_DIR", "LOAM_CACHE")}
    command = [sys.executable, "-c", REPORT]
    child = subprocess.run(
        command, cwd=copy, env=inherited | environment | {"PYTHONPATH": str(copy)}, capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    return tuple(map(int, child.stdout.split()))


def edit(path, before, after):
    source = path.read_text()
    assert before in source
    path.write_text(source.replace(before, after))


def test_a_constant_two_files_away_recompiles_its_users(copy):
    assert run(copy) == (16, 0, 0)
    assert run(copy) == (16, 1, 0)
    edit(copy / "lm" / "constants.py", "3", "5")
    assert run(copy) == (20, 0, 2)  # the old code of both modules
    assert run(copy) == (20, 1, 0)


def test_an_import_that_came_later_counts_and_an_edit_elsewhere_does_not(copy):
    """The kept names are those of the sources as they were, or damaged."""
    run(copy)
    (copy / "lm" / "more.py").write_text("EXTRA = 100\n")
    edit(copy / "lm" / "inner.py", "x + STEP", "x + STEP + EXTRA")
    edit(copy / "lm" / "inner.py", "from lm.constants", "from lm.more import EXTRA\nfrom lm.constants")
    assert run(copy)[:2] == (216, 0)
    edit(copy / "lm" / "more.py", "100", "200")
    (copy / "lm" / "__pycache__" / "names" / "lm.outer.json").write_text('{"code": "as it was"}')
    assert run(copy)[:2] == (416, 0)
    edit(copy / "lm" / "errors.py", "from __future__", "# edited\nfrom __future__")
    assert run(copy) == (416, 1, 0)


def test_the_folder_may_be_chosen(copy):
    assert run(copy, NUMBA_CACHE_DIR=str(copy / "chosen")) == (16, 0, 0)
    assert run(copy, NUMBA_CACHE_DIR=str(copy / "chosen")) == (16, 1, 0)
    assert list((copy / "chosen").rglob("outer.twice-*.nbc"))
    assert not (copy / "lm" / "__pycache__" / "compiled").exists()


def test_a_read_only_installation_caches_in_the_user_folder(copy):
    (copy / "lm" / "__pycache__").mkdir()
    (copy / "lm" / "__pycache__" / "compiled").write_text("in the way, as a folder without permission would be")
    assert run(copy, LOAM_CACHE=str(copy / "user"))[:2] == (16, 0)
    assert run(copy, LOAM_CACHE=str(copy / "user"))[:2] == (16, 1)
    assert list((copy / "user" / "compiled").rglob("outer.twice-*.nbc"))


def test_the_folder_is_the_same_while_another_function_is_decorated(monkeypatch, tmp_path):
    before = compiled._root()
    monkeypatch.setattr(compiled._config, "CACHE_DIR", str(tmp_path))
    assert compiled._root() == before != tmp_path


def test_every_compiled_function_comes_from_here():
    for room in ("lm", "pipelines", "assets"):
        for path in (ROOT / room).rglob("*.py"):
            if path != ROOT / "lm" / "compiled.py":
                assert not re.search(r"\b(n?jit|vectorize|guvectorize|cfunc)\(|@n?jit\b", path.read_text()), path
