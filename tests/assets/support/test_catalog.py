"""The catalog: every asset has kinds, a code version, links to code and to a page."""

from pathlib import Path

import dagster as dg
import pytest

from assets.support import catalog
from tests.assets.runs import defs


def test_every_asset_has_kinds_code_and_a_page():
    for spec in defs.resolve_all_asset_specs():
        name = spec.key.to_user_string()
        assert spec.kinds and spec.code_version, name
        assert Path(spec.metadata["docs"].value).is_file(), name
        references = spec.metadata["dagster/code_references"].code_references
        assert references, name
        for reference in references:
            assert reference.label in Path(reference.file_path).read_text().splitlines()[reference.line_number - 1]


def test_owners_and_links_are_configurable(monkeypatch):
    monkeypatch.setenv(catalog.OWNERS_VARIABLE, "team:data, ada@example.com")
    monkeypatch.setenv(catalog.SOURCE_VARIABLE, "https://example.com/loam/blob/main/")
    spec = catalog.described(dg.AssetSpec("raw_documents"))
    assert list(spec.owners) == ["team:data", "ada@example.com"]
    assert spec.metadata["docs"].value == "https://example.com/loam/blob/main/docs/your_own_crawl.md"
    urls = [reference.url for reference in spec.metadata["dagster/code_references"].code_references]
    assert urls[0].startswith("https://example.com/loam/blob/main/pipelines/extract/partition.py#L")


def test_an_asset_without_an_entry_stays_as_it_is():
    spec = dg.AssetSpec("something_else")
    assert catalog.described(spec) == spec


def test_every_entry_is_of_an_asset():
    assert set(catalog.ENTRIES) == {key.to_user_string() for key in defs.resolve_all_asset_keys()}


def test_an_unknown_name_is_named():
    with pytest.raises(LookupError, match=r"lm\.errors\.nothing: not defined in"):
        catalog.place_of("lm.errors.nothing")
    with pytest.raises(LookupError, match="no such module"):
        catalog.place_of("lm.nowhere.nothing")
