"""Artifacts: what is published, what is refused, what is left alone."""

import json

import pytest

from lm import storage
from lm.errors import InputError, IntegrityError

WORK = {"kind": "numbers", "config": {"count": 3}, "inputs": {"crawl": "ab"}, "code": "c0"}


def publish_text(target, text="one\n", **changes):
    with storage.publish(target, **(WORK | changes)) as publication:
        (publication.path / "deep").mkdir()
        (publication.path / "deep" / "a.txt").write_text(text)
        (publication.path / "b.txt").write_text("two\n")
        publication.summary["num_lines"] = 2
    return publication.artifact


def tree(folder):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_artifact_opens_with_what_was_published(tmp_path):
    published = publish_text(tmp_path / "a")
    opened = storage.open_artifact(tmp_path / "a", kind="numbers", digest=published.digest)
    assert opened == published
    assert opened.names() == ["b.txt", "deep/a.txt"]
    assert opened.names("*.txt") == ["b.txt", "deep/a.txt"]
    assert opened.file("deep/a.txt").read_text() == "one\n"
    assert opened.summary == {"num_lines": 2}
    assert opened.size_bytes == 8


def test_equal_work_gives_equal_bytes_in_two_places(tmp_path):
    first, second = publish_text(tmp_path / "a"), publish_text(tmp_path / "b")
    assert (tmp_path / "a/manifest.json").read_bytes() == (tmp_path / "b/manifest.json").read_bytes()
    assert first.digest == second.digest


def test_the_manifest_names_no_place_and_no_time(tmp_path):
    publish_text(tmp_path / "a")
    manifest = json.loads((tmp_path / "a/manifest.json").read_text())
    assert set(manifest) == {"format", "loam", "version", "files", "kind", "config", "inputs", "code", "summary"}
    assert str(tmp_path) not in json.dumps(manifest)


def test_find_whole_knows_the_work_by_every_part_of_it(tmp_path):
    publish_text(tmp_path / "a")
    assert storage.find_whole(tmp_path / "a", storage.fingerprint(**WORK)) is not None
    for change in ({"config": {"count": 4}}, {"inputs": {"crawl": "cd"}}, {"code": "c1"}, {"kind": "letters"}):
        assert storage.find_whole(tmp_path / "a", storage.fingerprint(**(WORK | change))) is None
    (tmp_path / "a").joinpath(*storage.open_artifact(tmp_path / "a").file("b.txt").parts[-2:]).unlink()
    assert storage.find_whole(tmp_path / "a", storage.fingerprint(**WORK)) is None


def test_an_error_inside_the_block_publishes_nothing(tmp_path):
    published = publish_text(tmp_path / "a")
    with pytest.raises(ZeroDivisionError), storage.publish(tmp_path / "a", **WORK) as publication:
        (publication.path / "b.txt").write_text("half")
        raise ZeroDivisionError
    assert storage.open_artifact(tmp_path / "a").digest == published.digest
    assert not list((tmp_path / "a").glob(".staging*"))


def test_a_missing_artifact_and_a_wrong_kind_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: no artifact here \(manifest.json is missing\)"):
        storage.open_artifact(tmp_path / "nowhere")
    publish_text(tmp_path / "a")
    with pytest.raises(InputError, match="is a 'numbers' artifact, expected 'tokens'"):
        storage.open_artifact(tmp_path / "a", kind="tokens")
    with pytest.raises(IntegrityError, match=r"digest is .*, expected 00"):
        storage.open_artifact(tmp_path / "a", digest="00")


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"format": "loam-artifact/9"}', b'{"format": "loam-artifact/1"}']
)
def test_a_damaged_manifest_is_refused(tmp_path, damage):
    publish_text(tmp_path / "a")
    (tmp_path / "a/manifest.json").write_bytes(damage)
    with pytest.raises(IntegrityError, match=r"manifest\.json"):
        storage.open_artifact(tmp_path / "a")


def test_publishing_over_a_damaged_version_repairs_it(tmp_path):
    published = publish_text(tmp_path / "a")
    published.file("b.txt").write_text("tw0\n")
    publish_text(tmp_path / "a")
    assert storage.open_artifact(tmp_path / "a").file("b.txt").read_text() == "two\n"


def test_only_the_current_version_and_the_one_before_stay(tmp_path):
    for text in ("1", "2", "3"):
        publish_text(tmp_path / "a", text)
    assert len(list((tmp_path / "a").glob("v-*"))) == 2


def test_the_same_files_under_another_configuration_are_another_artifact(tmp_path):
    first = publish_text(tmp_path / "a")
    second = publish_text(tmp_path / "a", config={"count": 4})
    assert first.version == second.version
    assert first.digest != second.digest
    assert storage.open_artifact(tmp_path / "a").file("b.txt").exists()


def test_make_does_the_work_once(tmp_path):
    calls = []

    def write(publication):
        calls.append(1)
        (publication.path / "a.txt").write_text("x")

    first = storage.make(tmp_path / "a", write, **WORK)
    assert storage.make(tmp_path / "a", write, **WORK) == first
    storage.make(tmp_path / "a", write, **(WORK | {"code": "c1"}))
    assert len(calls) == 2
