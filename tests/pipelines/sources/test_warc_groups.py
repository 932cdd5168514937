"""Sources of WARC files, their groups, and what a group resolves to."""

import gzip
import json

import pytest

from lm.configuration import from_mapping, to_mapping
from lm.errors import ConfigurationError, InputError
from lm.storage import sha256_of
from pipelines.fetch.download import Downloader, DownloadPolicy
from pipelines.fetch.remote_files import copy_path
from pipelines.sources.warc_groups import (
    WarcSource,
    list_groups,
    read_files,
    resolve_group,
    write_files,
)
from tests.pipelines import warc_making as making
from tests.pipelines.crawl_server import CrawlServer


@pytest.fixture
def folder(tmp_path):
    """A folder with six WARC files, one deeper, and three others."""
    root = tmp_path / "crawl"
    (root / "deep").mkdir(parents=True)
    for number, name in enumerate(["b.warc.gz", "a.warc", "deep/c.warc.gz", "d.WET.gz", "e.warc.lz4", "f.warc.zst"]):
        making.write(root / name, *making.pages(number + 1))
    for name in ("notes.txt", ".a.warc.gz.part", ".hidden.warc"):
        (root / name).write_text("x")
    return root


def source_of(folder, **values):
    return WarcSource(kind="folder", crawl="mine", folder=str(folder), **values)


def test_groups_of_a_folder(folder):
    groups = list_groups(source_of(folder, files_per_group=2))
    assert groups == {
        "mine/g0000": ["a.warc", "b.warc.gz"],
        "mine/g0001": ["d.WET.gz", "deep/c.warc.gz"],
        "mine/g0002": ["e.warc.lz4", "f.warc.zst"],
    }
    assert list(list_groups(source_of(folder, max_files=2)).values()) == [["a.warc"], ["b.warc.gz"]]


@pytest.mark.parametrize(
    "name", ["old.arc", "old.arc.zst", "OLD.ARC.GZ", "deep/old.arc.gz", "x.warc.xz", "x.warc.bz2", "x.wet.br", "x.wacz"]
)
def test_archives_in_forms_that_are_not_read_are_named(folder, name):
    (folder / name).write_text("x")
    with pytest.raises(InputError, match=f"holds 1 archives that are not WARC files .{name}., expected WARC"):
        list_groups(source_of(folder))


def test_many_unread_archives_are_counted(folder):
    for number in range(9):
        (folder / f"{number}.arc.gz").write_text("x")
    with pytest.raises(InputError, match=r"holds 9 archives .*\(0.arc.gz, .*, 4.arc.gz, …\)"):
        list_groups(source_of(folder))


def test_new_files_leave_known_groups_alone(folder):
    source = source_of(folder, files_per_group=2)
    known = list_groups(source)
    for name in ("0-early.warc", "z-late.warc"):
        making.write(folder / name, *making.pages(1))
    groups = list_groups(source, known=known)
    assert groups == {**known, "mine/g0003": ["0-early.warc", "z-late.warc"]}
    assert list_groups(source, known=groups) == groups
    late = list_groups(source_of(folder))
    assert late["mine/g0007"] == ["z-late.warc"]


def test_files_of_a_group(folder, tmp_path):
    events = []
    files = resolve_group(source_of(folder, files_per_group=2), "mine/g0001", tmp_path / "none", events.append)
    assert [file.name for file in files] == ["d.WET.gz", "deep/c.warc.gz"]
    assert files[1].path == folder / "deep/c.warc.gz"
    assert (files[1].size_bytes, files[1].sha256) == (files[1].path.stat().st_size, sha256_of(files[1].path))
    assert [event["num_files"] for event in events] == [1, 2]
    assert not (tmp_path / "none").exists()
    write_files(tmp_path / "files.json", files)
    assert read_files(tmp_path / "files.json", tmp_path) == files


def test_a_group_that_is_not_there(folder, tmp_path):
    with pytest.raises(InputError, match=r"mine/g0009.*has no files for it, expected one of mine/g0000, .*, …$"):
        resolve_group(source_of(folder), "mine/g0009", tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        list_groups(source_of(folder / "absent"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no files"):
        list_groups(source_of(tmp_path / "empty"))


def test_groups_of_a_crawl_are_downloaded(tmp_path):
    paths = [f"crawl-data/CC-MAIN-2024-22/warc/x-{n:05d}.warc.gz" for n in range(5)]
    files = {path: b"".join(making.members(making.pages(n + 1))) for n, path in enumerate(paths)}
    files["crawl-data/CC-MAIN-2024-22/warc.paths.gz"] = gzip.compress("\n".join(paths).encode())
    with CrawlServer(files) as server:
        source = WarcSource(
            kind="common_crawl", crawl="CC-MAIN-2024-22", base_url=server.url, files_per_group=2, max_files=3
        )
        client = Downloader(DownloadPolicy(min_interval_s=0.0, max_attempts=2))
        groups = list_groups(source, downloader=client)
        assert groups == {"CC-MAIN-2024-22/g0000": paths[:2], "CC-MAIN-2024-22/g0001": paths[2:3]}
        for _ in range(2):
            (file,) = resolve_group(source, "CC-MAIN-2024-22/g0001", tmp_path, downloader=client)
        assert file.origin == server.url + paths[2]
        assert file.path == copy_path(file.origin, tmp_path)
        assert file.path.read_bytes() == files[paths[2]]
        assert file.name == paths[2]
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "folder"},
        {"kind": "common_crawl", "folder": "/x"},
        {"folder": "x", "files_per_group": 0},
        {"folder": "x", "max_files": 0},
        {"folder": "x", "kind": "ftp"},
        {"folder": "x", "file_per_group": 1},
    ],
)
def test_a_source_is_checked(values):
    with pytest.raises(ConfigurationError):
        from_mapping(WarcSource, values)
    with pytest.raises(InputError, match="not a valid name"):
        WarcSource(folder="x", crawl="../x")


def test_a_source_as_a_mapping(folder):
    source = source_of(folder, max_files=3)
    assert from_mapping(WarcSource, to_mapping(source)) == source


def test_a_damaged_list_of_files_is_named(tmp_path):
    (tmp_path / "files.json").write_text(json.dumps([{"name": "x"}]))
    with pytest.raises(InputError, match=r"files\.json"):
        read_files(tmp_path / "files.json", tmp_path)
