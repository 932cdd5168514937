"""Single files from stores: fetched whole and once, again where they changed, and never out of their folder."""

import gzip
import hashlib

import pytest

from lm import store_access
from lm.errors import ConfigurationError, InputError, UnreachableError
from lm.locations import locate
from lm.storage import sha256_of
from lm.store_access import list_files
from pipelines.fetch import remote_files
from pipelines.fetch.remote_files import copy_path, fetch_file, local_path, read_file, read_range
from pipelines.sources.warc_groups import WarcSource, fetch_missing, list_groups, read_files, resolve_group, write_files
from tests.pipelines import warc_making as making
from tests.pipelines.crawl_server import CrawlServer

CONTENT = bytes(range(256)) * 64


def put(url, content):
    place = locate(url)
    place.fs.pipe_file(place.path, content)
    return url


def test_a_file_is_fetched_once_and_again_where_it_changed(store_url, tmp_path):
    url, target = put(f"{store_url}/a.bin", CONTENT), tmp_path / "a.bin"
    assert fetch_file(url, target).read_bytes() == CONTENT
    before = target.stat()
    fetch_file(url, target)
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    put(url, CONTENT[::-1])
    assert fetch_file(url, target).read_bytes() == CONTENT[::-1]
    target.write_bytes(b"damaged")
    assert fetch_file(url, target).read_bytes() == CONTENT[::-1]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [".a.bin.origin.json", "a.bin"]


def interrupted(url, target, monkeypatch):
    """Fetch until half of the file is there, then fail as a network does."""
    monkeypatch.setattr(remote_files, "_READ_BYTES", len(CONTENT) // 2)
    update = remote_files.progress.SilentBar.update
    monkeypatch.setattr(remote_files.progress.SilentBar, "update", _fail)
    monkeypatch.setattr(store_access, "_MIN_ATTEMPTS", 1)
    with pytest.raises(UnreachableError, match=r"a\.bin: .*ConnectionError: the line is dead"):
        fetch_file(url, target)
    monkeypatch.setattr(remote_files.progress.SilentBar, "update", update)
    part = target.with_name(".a.bin.part")
    assert part.read_bytes() == CONTENT[: len(CONTENT) // 2]
    return part


def _fail(self, count=1):
    raise ConnectionError("the line is dead")


@pytest.mark.fault(37)
def test_an_interrupted_fetch_goes_on_where_it_stopped(store_url, tmp_path, monkeypatch, little_patience):
    url, target = put(f"{store_url}/a.bin", CONTENT), tmp_path / "a.bin"
    part = interrupted(url, target, monkeypatch)
    half = len(CONTENT) // 2
    part.write_bytes(b"!" * half)  # what is there is not read again; a digest would tell
    assert fetch_file(url, target).read_bytes() == b"!" * half + CONTENT[half:]


@pytest.mark.fault(37)
def test_a_file_that_changes_between_two_calls_is_never_mixed(store_url, tmp_path, monkeypatch, little_patience):
    url, target = put(f"{store_url}/a.bin", CONTENT), tmp_path / "a.bin"
    interrupted(url, target, monkeypatch)
    put(url, CONTENT[::-1])
    assert fetch_file(url, target).read_bytes() == CONTENT[::-1]


def test_another_digest_is_refused(store_url, tmp_path):
    url, target = put(f"{store_url}/a.bin", CONTENT), tmp_path / "a.bin"
    actual = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(InputError, match=f"sha256 is {actual}, expected 00"):
        fetch_file(url, target, sha256="00")
    assert not target.exists()
    assert fetch_file(url, target, sha256=actual).read_bytes() == CONTENT


def test_what_is_not_there_is_named(store_url, tmp_path):
    put(f"{store_url}/folder/x", b"")
    for name, words in (("none.bin", "no such file"), ("folder", "a folder, expected a file|no such file")):
        with pytest.raises(InputError, match=words):
            fetch_file(f"{store_url}/{name}", tmp_path / "a.bin")
    with pytest.raises(InputError, match=r"none\.bin"):
        read_file(f"{store_url}/none.bin", 10)
    assert not (tmp_path / "a.bin").exists()


def test_parts_of_files(store_url, tmp_path):
    url = put(f"{store_url}/a.bin", CONTENT)
    (tmp_path / "a.bin").write_bytes(CONTENT)
    for place in (url, str(tmp_path / "a.bin")):
        assert read_range(place, 100, 50) == CONTENT[100:150]
        with pytest.raises(InputError, match="expected 50"):
            read_range(place, len(CONTENT) - 10, 50)
    assert read_file(url, len(CONTENT)) == CONTENT
    with pytest.raises(InputError, match="longer than 10 bytes"):
        read_file(url, 10)


def test_a_place_on_this_machine_is_not_copied(store_url, tmp_path):
    assert local_path(str(tmp_path / "a"), tmp_path / "d") == tmp_path / "a"
    copy = local_path(put(f"{store_url}/deep/a.bin", CONTENT), tmp_path / "d")
    assert copy.read_bytes() == CONTENT
    assert copy.is_relative_to(tmp_path / "d")


@pytest.mark.fault(35)
@pytest.mark.parametrize("path", ["../../x", "a/../../x", "a//b", ".hidden", "a\\b"])
def test_a_copy_stays_below_its_folder(tmp_path, path):
    with pytest.raises(InputError, match="refused as a path"):
        copy_path(f"s3://bucket/{path}", tmp_path)


def test_a_folder_in_a_store_is_a_source(store_url, tmp_path):
    pages = making.pages(6)
    for number in range(3):
        put(f"{store_url}/w/deep/x-{number}.warc.gz", b"".join(making.members(pages[2 * number :][:2])))
    put(f"{store_url}/w/notes.txt", b"")
    assert sorted(list_files(locate(f"{store_url}/w"))) == [
        *(f"deep/x-{number}.warc.gz" for number in range(3)),
        "notes.txt",
    ]
    source = WarcSource(kind="folder", crawl="mine", folder=f"{store_url}/w", files_per_group=2)
    groups = list_groups(source)
    assert groups == {"mine/g0000": ["deep/x-0.warc.gz", "deep/x-1.warc.gz"], "mine/g0001": ["deep/x-2.warc.gz"]}
    files = resolve_group(source, "mine/g0000", tmp_path / "here")
    assert [file.name for file in files] == groups["mine/g0000"]
    assert all(sha256_of(file.path) == file.sha256 for file in files)
    write_files(tmp_path / "files.json", files)
    assert str(tmp_path) not in (tmp_path / "files.json").read_text()
    there = read_files(tmp_path / "files.json", tmp_path / "there")
    fetch_missing(there)
    assert [file.path.read_bytes() for file in there] == [file.path.read_bytes() for file in files]
    put(files[0].origin, b"another file")
    with pytest.raises(InputError, match="expected " + files[0].sha256):
        fetch_missing(read_files(tmp_path / "files.json", tmp_path / "elsewhere"))


def test_named_files_come_from_a_web_server(tmp_path):
    content = b"".join(making.members(making.pages(2)))
    with CrawlServer({"w/x.warc.gz": content}) as server:
        source = WarcSource(kind="folder", crawl="mine", folder=f"{server.url}w")
        with pytest.raises(InputError, match="cannot be listed, expected the names"):
            list_groups(source)
        for _ in range(2):
            (file,) = resolve_group(source, "mine/g0000", tmp_path, known={"mine/g0000": ["x.warc.gz"]})
            assert file.path.read_bytes() == content
            assert file.origin == f"{server.url}w/x.warc.gz"
        assert len(server.requests) == 1


def test_a_mirror_of_common_crawl_in_a_store(store_url, tmp_path):
    crawl = "CC-MAIN-2024-22"
    paths = [f"crawl-data/{crawl}/wet/x-{number}.warc.wet.gz" for number in range(3)]
    put(f"{store_url}/crawl-data/{crawl}/wet.paths.gz", gzip.compress("\n".join(paths).encode()))
    for path in paths:
        put(f"{store_url}/{path}", path.encode())
    source = WarcSource(kind="common_crawl", crawl=crawl, base_url=store_url, file_kind="wet", files_per_group=2)
    assert list_groups(source) == {f"{crawl}/g0000": paths[:2], f"{crawl}/g0001": paths[2:]}
    (file,) = resolve_group(source, f"{crawl}/g0001", tmp_path)
    assert (file.name, file.origin) == (paths[2], f"{store_url}/{paths[2]}")
    assert file.path.read_bytes() == paths[2].encode()


def test_an_empty_folder_in_a_store(store_url):
    with pytest.raises(InputError, match="holds no files named"):
        list_groups(WarcSource(kind="folder", crawl="mine", folder=f"{store_url}/none"))
    with pytest.raises(ConfigurationError, match="credentials"):
        list_groups(WarcSource(kind="folder", crawl="mine", folder="s3://KEY:SECRET@bucket/x"))
