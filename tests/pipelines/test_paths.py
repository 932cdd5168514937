"""Where artifacts and downloads lie, and keys of partitions that could lead elsewhere."""

from pathlib import Path

import pytest

from lm.errors import ConfigurationError
from pipelines import paths


def test_an_artifact_lies_by_its_name_and_partition(tmp_path):
    assert paths.artifact_path("tokenizer", root=tmp_path) == tmp_path / "artifacts" / "tokenizer"
    folder = tmp_path / "artifacts" / "raw_documents" / "CC-MAIN-2024-22" / "g0003"
    assert paths.artifact_path("raw_documents", "CC-MAIN-2024-22/g0003", tmp_path) == folder


def test_the_home_is_the_variable_or_a_folder_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LOAM_HOME", raising=False)
    assert paths.home() == Path.cwd() / ".loam"
    monkeypatch.setenv("LOAM_HOME", "there")
    assert paths.home() == Path.cwd() / "there" and paths.home().is_absolute()


def test_downloads_lie_in_the_home_or_where_that_is_a_store_in_the_cache(tmp_path, monkeypatch, cache):
    assert paths.downloads(tmp_path) == tmp_path / "downloads"
    pytest.importorskip("upath", reason="stores need universal_pathlib")
    assert paths.downloads(paths.root_at("memory://home")) == cache / "downloads"


@pytest.mark.parametrize(
    ("crawl", "group", "key"), [("demo", 0, "demo/g0000"), ("CC-MAIN-2024-22", 12345, "CC-MAIN-2024-22/g12345")]
)
def test_keys_come_back(crawl, group, key):
    assert paths.partition_key(crawl, group) == key
    assert paths.parse_partition(key) == (crawl, group)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "demo",
        "demo/0",
        "demo/g1",
        "../x/g0000",
        "/g0000",
        "a/b/g0000",
        "demo/g0000/x",
        ".x/g0000",
        "demo/g0000\n",
        "demo/g٠٠٠٠",
    ],
)
def test_what_is_no_key_is_refused(tmp_path, key):
    with pytest.raises(ConfigurationError, match="expected CRAWL/gNNNN"):
        paths.artifact_path("tokenizer", key, tmp_path)
