"""Artifacts in object stores: as on a disk, and what only a store can do wrong."""

import os
import shutil
import subprocess
import sys

import pytest

from lm import storage
from lm.errors import ConfigurationError, ConflictError, InputError, IntegrityError
from lm.locations import cache_folder, locate, redacted
from tests.lm.test_storage import WORK, publish_text
from tests.stores import SECRET


def stored(url):
    """Every file below a URL, by name."""
    place = locate(url)
    root = str(place.path).strip("/")
    return {name.strip("/")[len(root) + 1 :]: place.fs.cat_file(name) for name in place.fs.find(place.path)}


def test_an_artifact_opens_with_what_was_published(store_url):
    published = publish_text(f"{store_url}/a")
    opened = storage.open_artifact(f"{store_url}/a", kind="numbers", digest=published.digest)
    assert opened == published
    assert opened.names() == ["b.txt", "deep/a.txt"]
    assert opened.file("deep/a.txt").read_text() == "one\n"
    assert storage.find_whole(f"{store_url}/a", storage.fingerprint(**WORK)) == published


def test_the_manifest_is_that_of_a_disk_but_for_the_nonce_of_its_version(store_url, tmp_path):
    published = publish_text(f"{store_url}/a")
    on_disk = publish_text(tmp_path / "a")
    assert published.digest == on_disk.digest
    manifest = stored(f"{store_url}/a")["manifest.json"]
    assert manifest.replace(published.version.encode(), on_disk.version.encode()) == (
        (tmp_path / "a/manifest.json").read_bytes()
    )
    assert set(stored(f"{store_url}/a")) == {"manifest.json"} | {
        f"v-{published.version}/{name}" for name in published.names()
    }


def test_another_machine_fetches_and_checks_what_it_asks_for(store_url):
    artifact = publish_text(f"{store_url}/a")
    shutil.rmtree(cache_folder())
    assert artifact.file("b.txt").read_text() == "two\n"
    assert [path.name for path in cache_folder().rglob("*") if path.is_file()] == ["b.txt"]


def test_a_copy_is_fetched_once_and_again_where_it_was_damaged(s3, cache):
    artifact = publish_text(f"{s3.bucket()}/a")
    s3.requests.clear()
    copy = artifact.file("b.txt")
    assert s3.requests == []
    copy.write_text("tw0\n")
    assert artifact.file("b.txt").read_text() == "two\n"
    assert s3.requests != []


@pytest.mark.parametrize("damage", [b"tw0\n", b"two\n!"])
def test_changed_bytes_in_the_store_are_refused(store_url, damage):
    artifact = publish_text(f"{store_url}/a")
    shutil.rmtree(cache_folder())
    place = artifact.folder / "b.txt"
    place.fs.pipe_file(place.path, damage)
    with pytest.raises(IntegrityError, match=rf"{store_url}/a/v-.*/b\.txt: (sha256 is .*|5 bytes), expected"):
        artifact.file("b.txt")
    assert not [path for path in cache_folder().rglob("*") if path.is_file() and path.name != ".lock"]


def test_missing_and_surplus_files_are_refused_at_open(store_url):
    artifact = publish_text(f"{store_url}/a")
    shutil.rmtree(cache_folder())
    surplus = artifact.folder / "c.txt"
    surplus.fs.pipe_file(surplus.path, b"")
    with pytest.raises(IntegrityError, match=r"c\.txt: unexpected file"):
        storage.open_artifact(f"{store_url}/a")
    surplus.fs.rm_file(surplus.path)
    surplus.fs.rm_file((artifact.folder / "b.txt").path)
    with pytest.raises(IntegrityError, match=r"b\.txt: missing"):
        storage.open_artifact(f"{store_url}/a")
    with pytest.raises(IntegrityError, match=r"b\.txt: missing"):
        artifact.file("b.txt")


def test_publishing_over_a_damaged_version_repairs_it(store_url):
    artifact = publish_text(f"{store_url}/a")
    place = artifact.folder / "b.txt"
    place.fs.pipe_file(place.path, b"tw0\n")
    repaired = publish_text(f"{store_url}/a")
    assert repaired.digest == artifact.digest
    assert stored(f"{store_url}/a")[f"v-{repaired.version}/b.txt"] == b"two\n"


def test_publishing_the_current_content_over_another_publication_is_refused(store_url, monkeypatch, tmp_path):
    publish_text(f"{store_url}/a", "first\n")
    with pytest.raises(ConflictError) as refusal, storage.publish(f"{store_url}/a", **WORK) as publication:
        (publication.path / "deep").mkdir()
        (publication.path / "deep" / "a.txt").write_text("first\n")
        (publication.path / "b.txt").write_text("two\n")
        publication.summary["num_lines"] = 2
        monkeypatch.setenv("LOAM_CACHE", str(tmp_path / "other machine"))
        winner = publish_text(f"{store_url}/a", "winner\n")
        monkeypatch.undo()
    assert winner.digest in str(refusal.value)
    shutil.rmtree(tmp_path / "other machine")
    assert storage.open_artifact(f"{store_url}/a").file("deep/a.txt").read_text() == "winner\n"


def test_a_version_that_two_publications_replaced_is_explained(store_url):
    opened = publish_text(f"{store_url}/a", "1")
    publish_text(f"{store_url}/a", "2")
    shutil.rmtree(cache_folder())
    assert opened.file("deep/a.txt").read_text() == "1"
    publish_text(f"{store_url}/a", "3")
    shutil.rmtree(cache_folder())
    with pytest.raises(IntegrityError, match=r"deep/a\.txt: missing.*was replaced after it was opened"):
        opened.file("deep/a.txt")


def test_the_same_work_again_writes_nothing(s3, cache):
    target = f"{s3.bucket()}/a"
    publish_text(target)
    s3.requests.clear()
    publish_text(target)
    assert {method for method, _ in s3.requests} <= {"GET", "HEAD"}


def test_only_the_current_version_and_the_one_before_stay(store_url):
    for text in ("1", "2", "3"):
        publish_text(f"{store_url}/a", text)
    assert len({name.split("/")[0] for name in stored(f"{store_url}/a") if "/" in name}) == 2


def test_an_error_inside_the_block_publishes_nothing(store_url):
    with pytest.raises(ZeroDivisionError), storage.publish(f"{store_url}/a", **WORK) as publication:
        (publication.path / "b.txt").write_text("half")
        raise ZeroDivisionError
    assert stored(store_url) == {}
    assert not list(cache_folder().rglob(".staging*"))


@pytest.mark.parametrize("is_first", [True, False])
def test_the_second_of_two_machines_is_refused_and_names_the_winner(store_url, is_first, monkeypatch, tmp_path):
    if not is_first:
        publish_text(f"{store_url}/a", "before\n")
    with pytest.raises(ConflictError) as refusal, storage.publish(f"{store_url}/a", **WORK) as publication:
        (publication.path / "b.txt").write_text("second")
        monkeypatch.setenv("LOAM_CACHE", str(tmp_path / "other machine"))
        winner = publish_text(f"{store_url}/a", "winner\n")
    assert f"another publication came first: digest {winner.digest}" in str(refusal.value)
    assert storage.open_artifact(f"{store_url}/a").file("deep/a.txt").read_text() == "winner\n"


def test_a_manifest_written_in_the_last_moment_wins(s3, cache):
    """Between the last look and the write there is no moment: S3 itself refuses the second manifest."""
    target = f"{s3.bucket()}/a"
    first = publish_text(target, "first\n")
    place = first.path / "manifest.json"
    manifest = place.fs.cat_file(place.path)
    others = manifest.replace(b'"count": 3', b'"count": 4')

    def other_machine(method, path):
        if method == "PUT" and path.endswith("/manifest.json"):
            s3.before = lambda method, path: None
            place.fs.__class__(skip_instance_cache=True, use_listings_cache=False).pipe_file(place.path, others)

    s3.before = other_machine
    with pytest.raises(ConflictError, match="another publication came first"):
        publish_text(target, "second\n")
    assert storage.open_artifact(target).config == {"count": 4}


def test_an_answer_lost_on_its_way_back_is_no_failure(s3, cache):
    target = f"{s3.bucket()}/a"

    def cut(method, path):
        if method == "PUT" and path.endswith("/manifest.json"):
            s3.after = lambda method, path: None
            raise RuntimeError

    s3.after = cut
    assert publish_text(target) == storage.open_artifact(target)


def test_a_store_that_is_not_there_is_named_before_any_work(s3, cache):
    with pytest.raises(InputError, match="s3://loam-nowhere/a: no bucket 'loam-nowhere'"):
        publish_text("s3://loam-nowhere/a")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (f"s3://KEY:{SECRET}@bucket/x", "credentials in a URL, expected them in the environment"),
        (f"s3://bucket/x?secret={SECRET}", "a query in a URL"),
        (f"simplecache::s3://KEY:{SECRET}@bucket", "a chain of file systems"),
        ("https://example.com/x", "cannot be published to"),
        ("nosuchstore://bucket", "nosuchstore"),
    ],
)
@pytest.mark.fault(36)
def test_a_url_that_is_no_store_is_refused_without_its_secret(url, message):
    with pytest.raises(ConfigurationError, match=message) as refusal:
        publish_text(url)
    assert SECRET not in str(refusal.value)
    assert "KEY" not in str(refusal.value)


@pytest.mark.fault(36)
def test_secrets_are_blotted_out(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    text = redacted(f"GET https://me:pw@host/x?X-Amz-Signature=abc&x=1 failed, {{'secret': 'qq'}} {SECRET} token=t")
    assert text == "GET https://…@host/x?X-Amz-Signature=…&x=1 failed, {'secret': '…'} … token=…"


def test_a_file_url_is_a_plain_path(tmp_path):
    assert locate(f"file://{tmp_path}/a") == tmp_path / "a"
    publish_text(f"file://{tmp_path}/a")
    assert storage.open_artifact(tmp_path / "a").file("b.txt").exists()


def test_plain_paths_need_no_fsspec(tmp_path):
    code = (
        "import sys; sys.modules['fsspec'] = sys.modules['upath'] = None\n"
        "from tests.lm.test_storage import publish_text\n"
        "print(publish_text(sys.argv[1]).file('b.txt'))"
    )
    run = subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=True, capture_output=True, text=True)
    assert os.path.exists(run.stdout.strip())  # noqa: PTH110


@pytest.mark.fault(35)
@pytest.mark.parametrize(
    ("field", "value"),
    [('"b.txt"', '"../../b.txt"'), ('"version": "', '"version": "../'), ('"sha256": "', '"sha256": "../../')],
)
def test_a_manifest_that_leads_out_of_its_folder_is_refused(store_url, field, value):
    artifact = publish_text(f"{store_url}/a")
    place = artifact.path / "manifest.json"
    place.fs.pipe_file(place.path, place.fs.cat_file(place.path).replace(field.encode(), value.encode()))
    with pytest.raises(IntegrityError, match="damaged manifest"):
        storage.open_artifact(f"{store_url}/a")
