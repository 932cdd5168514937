"""The names that a module uses: whatever way they are imported, and without those that run nothing."""

from pathlib import Path

import pytest

from lm import source_names
from lm.source_names import names_of, parse_names, source_of, source_path


@pytest.fixture
def module():
    """A function that gives the names of a source text."""
    return lambda source: parse_names("here", source.encode())


@pytest.mark.parametrize(
    "source",
    [
        "from pipelines.filters.pii import mask\ndef work(): return mask()",
        "from pipelines.filters.pii import mask as m\ndef work(): return m()",
        "from pipelines.filters import pii\ndef work(): return pii.mask()",
        "import pipelines.filters.pii\ndef work(): return pipelines.filters.pii.mask()",
        "import pipelines.filters.pii as p\ndef work(): return p.mask()",
        "def work():\n    from pipelines.filters.pii import mask\n    return mask()",
        "def work():\n    from pipelines.filters import pii as p\n    return [p.mask(x) for x in 'ab']",
        "def work(): return start('pipelines.filters.pii:mask')",
        "from pipelines.filters.pii import mask\nclass work:\n    field: mask = None",
        "from pipelines.filters.pii import mask\n@mask\ndef work(): pass",
        "from pipelines.filters.pii import mask\ndef work(x=mask): pass",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pipelines.filters.pii import mask\nwork = mask",
        "try:\n    from pipelines.filters.pii import mask\nexcept ImportError:\n    mask = None\nwork = {'a': mask}",
        "from pipelines.filters.pii import mask\nwork = {}\nwork['a'] = mask",
        "from pipelines.filters.pii import mask\nwork = 1\nwork += mask",
    ],
)
def test_every_form_of_a_use_is_the_same_use(module, source):
    names = module(source)
    used = set(names.defined["work"])
    # A name that a module both imports and defines is followed as its own, then to what it was imported as.
    assert "pipelines.filters.pii.mask" in used | ({names.imported["mask"]} if "here.mask" in used else set())


@pytest.mark.parametrize(
    "source",
    [
        "from pipelines.filters.pii import mask\ndef work(x: mask) -> mask: pass",
        "from pipelines.filters.pii import mask\ndef work():\n    x: mask = 1",
        "from pipelines.filters.pii import mask\ndef work(): pass\ndef other(): return mask()",
        "from pipelines.filters.pii import mask\ndef work(): return 'a sentence on pipelines.filters.pii'",
    ],
)
def test_what_runs_nothing_is_no_use(module, source):
    assert module(source).defined["work"] == frozenset()


def test_statements_that_only_run_at_import_count_for_every_name(module):
    names = module("from pipelines.paths import register\nTABLE = {}\nfor x in register: TABLE[x] = 1\nassert TABLE")
    assert names.at_import >= {"pipelines.paths.register", "here.TABLE"}


def test_names_of_one_module_lead_to_each_other(module):
    names = module("LIMIT = 3\ndef low(): return LIMIT\ndef work(): return low()")
    assert names.defined["work"] == {"here.low"}
    assert names.defined["low"] == {"here.LIMIT"}


def test_sources_are_found_without_an_import():
    assert source_path("lm.storage").name == "storage.py"
    assert source_path("lm.tokenizer").name == "__init__.py"
    assert source_path("lm.nowhere") is None
    assert source_path("nowhere.at_all") is None
    assert source_path("math") is None


SOURCE = b"from lm.errors import InputError\nLIMIT = 3\ndef work(): raise InputError(LIMIT)\nassert LIMIT"


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A folder for names, and a function that gives the names of "here" and the number of sources that were parsed."""
    sources, parsed = {"here": SOURCE}, []

    def parse(module, source):
        parsed.append(module)
        return parse_names(module, source)

    monkeypatch.setattr(source_names, "code_cache", lambda name: tmp_path)
    monkeypatch.setattr(source_names, "source_of", lambda name: sources.get(name) or source_of(name))
    monkeypatch.setattr(source_names, "parse_names", parse)

    def read(source=SOURCE):
        sources["here"] = source
        return names_of.__wrapped__("here"), len(parsed)

    return tmp_path, read


def test_names_are_read_from_a_source_once(kept):
    _, read = kept
    expected = parse_names("here", SOURCE)
    assert read() == (expected, 1)
    assert read() == (expected, 1)


def test_an_edited_source_is_read_again(kept):
    _, read = kept
    read()
    edited = SOURCE.replace(b"lm.errors", b"lm.storage")
    assert read(edited) == (parse_names("here", edited), 2)
    assert read(edited)[1] == 2
    assert read() == (parse_names("here", SOURCE), 3)


def test_an_edited_reader_reads_again(kept, monkeypatch):
    _, read = kept
    read()
    inner = source_names.source_of
    monkeypatch.setattr(source_names, "source_of", lambda name: inner(name) + b"#" * (name == "lm.source_names"))
    assert read()[1] == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"code": 3}', "no imports", "a list"])
def test_damaged_names_are_read_again(kept, damage):
    folder, read = kept
    expected, _ = read()
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    if isinstance(damage, str):
        changed = {"no imports": (b'"imported"', b'"import"'), "a list": (b'"defined": {', b'"defined": [], "x": {')}
        damage = whole.replace(*changed[damage])
        assert damage != whole
    path.write_bytes(damage)
    assert read() == (expected, 2)
    assert read()[1] == 2
    assert path.read_bytes() == whole and list(folder.iterdir()) == [path]


def test_a_full_disk_leaves_nothing_behind(kept, monkeypatch):
    def fail(path, target):
        raise OSError(28, "No space left on device")

    folder, read = kept
    monkeypatch.setattr(Path, "replace", fail)
    assert read() == (parse_names("here", SOURCE), 1)
    assert list(folder.iterdir()) == []


def test_names_without_a_place_to_keep_them(kept, monkeypatch):
    folder, read = kept
    monkeypatch.setattr(source_names, "code_cache", lambda name: folder / "missing")
    assert read() == (parse_names("here", SOURCE), 1)
    assert read()[1] == 2
