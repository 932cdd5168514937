"""The WARC files of a group: from its stored source, from a launch, and never from a guess."""

import dagster as dg
import pytest

from assets.graph.crawl import read_listing
from assets.support.resources import LoamHome
from pipelines.sources.group_source import GroupSource, add_group, stored_source
from tests.assets.runs import artifact, failure, materialize
from tests.pipelines import warc_making as making


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("warc_groups", ["local/g0000", "local/g0001", "mycrawl/g0000", "demo/g0007"])
        yield made


@pytest.fixture
def folder(tmp_path):
    return making.folder_of(tmp_path / "warcs", {name: [making.article(name)] for name in "abcd"})


def names(home, group):
    listing = artifact(home, "warc_files", group)
    return [file.name for file in read_listing(listing, LoamHome(path=str(home)))]


def test_a_group_that_was_added_needs_no_configuration(instance, folder, tmp_path):
    for group in ("local/g0000", "local/g0001"):
        add_group(tmp_path, group, GroupSource(folder=str(folder)))
        assert materialize(instance, tmp_path, ["warc_files"], group).success
    assert names(tmp_path, "local/g0001") == ["c.warc.gz", "d.warc.gz"]


def test_a_launch_stores_the_folder_and_its_files_for_the_next(instance, folder, tmp_path):
    launch = {"warc_files": {"folder": str(folder), "files_per_group": 1}}
    assert materialize(instance, tmp_path, ["warc_files"], "local/g0001", launch).success
    before = artifact(tmp_path, "warc_files", "local/g0001").digest
    making.folder_of(tmp_path / "more", {"aa": [making.article("aa")]})
    (tmp_path / "more" / "aa.warc.gz").rename(folder / "aa.warc.gz")
    assert materialize(instance, tmp_path, ["warc_files"], "local/g0001").success
    assert names(tmp_path, "local/g0001") == ["b.warc.gz"]
    assert artifact(tmp_path, "warc_files", "local/g0001").digest == before
    assert stored_source(tmp_path, "local/g0001") == GroupSource(
        folder=str(folder), files=("b.warc.gz",), files_per_group=1
    )


def test_a_launch_with_another_folder_replaces_the_source(instance, folder, tmp_path):
    add_group(tmp_path, "local/g0000", GroupSource(folder=str(folder)))
    other = making.folder_of(tmp_path / "other", {"z": [making.article("z")]})
    launch = {"warc_files": {"folder": str(other)}}
    assert materialize(instance, tmp_path, ["warc_files"], "local/g0000", launch).success
    assert names(tmp_path, "local/g0000") == ["z.warc.gz"]
    assert stored_source(tmp_path, "local/g0000").folder == str(other)


@pytest.mark.fault(42)
def test_a_name_without_a_source_asks_no_network(instance, tmp_path, monkeypatch):
    monkeypatch.setattr("pipelines.fetch.download.Downloader.__init__", lambda *_: pytest.fail("asked the network"))
    description, exit_code = failure(instance, tmp_path, "warc_files", {}, "mycrawl/g0000")
    assert "python -m assets partitions add mycrawl/g0000 --folder FOLDER" in description
    assert exit_code == 2


def test_the_built_in_crawls_name_is_not_given_to_a_folder(instance, folder, tmp_path):
    description, _ = failure(instance, tmp_path, "warc_files", {"folder": str(folder)}, "demo/g0007")
    assert "'demo' is the built-in crawl, expected another name" in description
