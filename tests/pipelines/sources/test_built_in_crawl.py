"""The files of the built-in crawl, by content."""

import pytest

from lm import storage
from pipelines.paths import artifact_path
from pipelines.sources.built_in_crawl import are_built_in, built_in_files


@pytest.fixture
def root(tmp_path):
    target = artifact_path("demo_crawl", root=tmp_path)
    with storage.publish(target, kind="demo_crawl", config={}, inputs={}, code="") as publication:
        (publication.path / "warc").mkdir()
        for name in ("warc/a.warc.gz", "warc/b.warc.gz", "labels.jsonl"):
            (publication.path / name).write_text(name)
    return tmp_path


def test_files_are_named_without_their_folder(root):
    assert sorted(built_in_files(root)) == ["a.warc.gz", "b.warc.gz", "labels.jsonl"]


def test_all_of_the_files_must_be_the_crawls(root):
    a, b = (built_in_files(root)[name] for name in ("a.warc.gz", "b.warc.gz"))
    assert are_built_in([a], root) and are_built_in(iter([b, a]), root)
    assert not are_built_in([a, "0" * 64], root)
    assert not are_built_in([], root)


def test_a_home_without_the_crawl_has_none_of_its_files(tmp_path):
    assert built_in_files(tmp_path) == {} and not are_built_in(["0" * 64], tmp_path)
