"""Stored sources of groups: the folder and the files, added once and never changed by later files."""

import pytest

from lm.errors import ConfigurationError, InputError
from lm.locations import locate
from pipelines.sources.group_source import GroupSource, add_group, store_source, stored_groups, stored_source


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "warcs"
    place.mkdir()
    for name in "acegi":
        (place / f"{name}.warc.gz").write_bytes(b"x")
    return place


def test_a_source_comes_back_from_a_disk_and_from_a_store(tmp_path, store_url):
    source = GroupSource(folder="s3://bucket/warcs", files=("a.warc.gz",), file_kind="wet")
    for root in (tmp_path / "home", locate(store_url)):
        assert stored_source(root, "local/g0000") is None
        store_source(root, "local/g0000", source)
        assert stored_source(root, "local/g0000") == source
        assert stored_groups(root) == {"local/g0000": source}


def test_groups_of_a_folder_take_its_files_in_turn(tmp_path, folder):
    first = add_group(tmp_path, "local/g0000", GroupSource(folder=str(folder)))
    assert first.files == ("a.warc.gz", "c.warc.gz")
    (folder / "b.warc.gz").write_bytes(b"x")
    second = add_group(tmp_path, "local/g0001", GroupSource(folder=str(folder)))
    assert second.files == ("b.warc.gz", "e.warc.gz")  # the first group keeps its files
    assert add_group(tmp_path, "local/g0000", GroupSource(folder=str(folder))) == first
    other = add_group(tmp_path, "other/g0002", GroupSource(folder=str(folder)))
    assert other.files == ("g.warc.gz", "i.warc.gz")  # group N of a folder has its N-th files


def test_another_folder_of_the_same_crawl_is_numbered_on(tmp_path, folder):
    """Also where its files have the names of the first folder's."""
    other = tmp_path / "others"
    other.mkdir()
    for name in ("a.warc.gz", "b.warc.gz", "c.warc.gz"):
        (other / name).write_bytes(b"y")
    add_group(tmp_path, "local/g0000", GroupSource(folder=str(folder)))
    assert add_group(tmp_path, "local/g0001", GroupSource(folder=str(other))).files == ("a.warc.gz", "b.warc.gz")
    assert add_group(tmp_path, "local/g0002", GroupSource(folder=str(other))).files == ("c.warc.gz",)
    assert add_group(tmp_path, "local/g0003", GroupSource(folder=str(folder))).files == ("e.warc.gz", "g.warc.gz")
    with pytest.raises(InputError, match=r"available groups: local/g0004$"):
        add_group(tmp_path, "local/g0000", GroupSource(folder=str(folder), files_per_group=3))


@pytest.mark.parametrize("key", ["local/g0003", "local/g0004"])
def test_a_group_without_files_is_refused_with_the_groups_left(tmp_path, folder, key):
    with pytest.raises(
        InputError, match=rf"'{key}': .* has no files for this group; available groups: local/g0000, local/g0001, "
    ):
        add_group(tmp_path, key, GroupSource(folder=str(folder)))
    assert stored_groups(tmp_path) == {}


def test_a_relative_folder_is_stored_whole(tmp_path, folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert add_group(tmp_path, "local/g0000", GroupSource(folder="warcs")).folder == str(folder)


@pytest.mark.parametrize(
    ("key", "source", "message"),
    [
        ("mycrawl/g0000", GroupSource(), "no source is stored for it, and 'mycrawl' is not a crawl of Common Crawl"),
        ("demo/g0000", GroupSource(folder="/warcs"), "'demo' is the built-in crawl, expected another name for /warcs"),
        ("mycrawl", GroupSource(), "partition 'mycrawl': expected CRAWL/gNNNN"),
    ],
)
def test_a_source_that_does_not_fit_the_name_is_refused(tmp_path, key, source, message):
    with pytest.raises(ConfigurationError, match=message):
        add_group(tmp_path, key, source)
    assert stored_groups(tmp_path) == {}


@pytest.mark.parametrize(
    ("key", "source"),
    [
        ("CC-MAIN-2024-22/g0003", GroupSource()),
        ("mirror/g0000", GroupSource(base_url="s3://bucket")),
        ("demo/g0001", GroupSource()),
    ],
)
def test_a_crawl_that_is_known_by_name_needs_no_folder(tmp_path, key, source):
    assert add_group(tmp_path, key, source) == stored_source(tmp_path, key) == source


def test_files_without_a_folder_are_refused():
    with pytest.raises(ConfigurationError, match="files without a folder"):
        GroupSource(files=("a.warc.gz",))


@pytest.mark.parametrize("content", ["{", "[]", '{"folders": "/x"}'])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "sources" / "local" / "g0000.json"
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises((InputError, ConfigurationError), match=r"g0000\.json"):
        stored_source(tmp_path, "local/g0000")
