"""Faults 17 to 23: killed publications, full disks, second runs, races, replaced and damaged artifacts."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from lm import storage
from lm.errors import ConflictError, IntegrityError, NoSpaceError, run_command
from lm.shards import TokenShards
from tests.lm.test_shards import publish_shards
from tests.lm.test_storage import publish_text, tree

PUBLISHER = textwrap.dedent(
    """
    import os, signal, sys
    from lm import storage

    target, text, kill_at = sys.argv[1], sys.argv[2], int(sys.argv[3])
    count = 0

    def kill_at_operation(event, arguments):
        global count
        touches = any(isinstance(a, (str, os.PathLike)) and os.fspath(a).startswith(target) for a in arguments)
        if touches or event in ("fcntl.flock", "os.truncate"):
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(kill_at_operation)
    with storage.publish(target, kind="numbers", config={"text": text}, inputs={}, code="") as publication:
        for name in ("a.txt", "b.txt"):
            (publication.path / name).write_text(text)
    """
)


def run_publisher(target, text, kill_at=0):
    return subprocess.run([sys.executable, "-c", PUBLISHER, str(target), text, str(kill_at)], check=False).returncode


def texts(target):
    artifact = storage.open_artifact(target)
    return [artifact.file(name).read_text() for name in artifact.names()]


@pytest.mark.fault(17)
def test_a_publication_killed_at_any_file_operation_leaves_the_old_version_or_the_new(tmp_path):
    target = tmp_path / "a"
    assert run_publisher(target, "old") == 0
    seen = set()
    for kill_at in range(1, 200):
        code = run_publisher(target, "new", kill_at)
        seen.add(texts(target)[0])
        assert texts(target) in (["old", "old"], ["new", "new"])
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert run_publisher(target, "old") == 0
        assert not list(target.glob(".staging*"))
    assert kill_at > 15
    assert seen == {"old", "new"}


@pytest.mark.fault(17)
def test_a_first_publication_killed_at_any_file_operation_leaves_nothing_or_all(tmp_path):
    for kill_at in range(1, 200):
        target = tmp_path / f"a{kill_at}"
        if run_publisher(target, "new", kill_at) == 0:
            break
        if (target / "manifest.json").exists():
            assert texts(target) == ["new", "new"]
        else:
            assert storage.find_whole(target, "any") is None
    assert kill_at > 10


def write_too_much(path):
    (path / "big.bin").write_bytes(bytes(2**21))


def write_too_many_tokens(path):
    from lm.shards import ShardWriter

    with ShardWriter(path, tokenizer_digest="t", vocab_size=2**16, end_of_text_id=0) as writer:
        writer.write("d", "web", [1] * 2**20)


@pytest.mark.fault(18)
@pytest.mark.parametrize("write", [write_too_much, write_too_many_tokens])
def test_a_full_disk_is_named_and_the_partial_file_is_gone(small_disk, capsys, write):
    published = publish_text(small_disk / "a")

    def main(argv):
        with storage.publish(small_disk / "a", kind="numbers", config={}, inputs={}, code="") as publication:
            write(publication.path)
        return 0

    with pytest.raises(SystemExit) as end:
        run_command(main)
    assert end.value.code == NoSpaceError.exit_code == 3
    message = capsys.readouterr().err
    assert "no space left on device" in message
    assert str(small_disk / "a") in message
    assert "bytes needed" in message
    assert storage.open_artifact(small_disk / "a").digest == published.digest
    assert not list((small_disk / "a").glob(".staging*"))


@pytest.mark.fault(19)
def test_the_same_work_again_rewrites_no_file(tmp_path):
    publish_text(tmp_path / "a")
    before = {path: facts for path, facts in tree(tmp_path / "a").items() if path.name != ".lock"}
    publish_text(tmp_path / "a")
    after = {path: facts for path, facts in tree(tmp_path / "a").items() if path.name != ".lock"}
    assert after == before


@pytest.mark.fault(20)
def test_the_second_of_two_publishers_names_the_first(tmp_path):
    with storage.publish(tmp_path / "a", kind="numbers", config={}, inputs={}, code="") as publication:
        (publication.path / "a.txt").write_text("first")
        with pytest.raises(ConflictError, match=rf"a: process {os.getpid()} on .* is publishing here"):
            publish_text(tmp_path / "a")
    assert storage.open_artifact(tmp_path / "a").file("a.txt").read_text() == "first"


@pytest.mark.fault(20)
def test_two_processes_at_once_publish_one_whole_version(tmp_path):
    command = [sys.executable, "-c", PUBLISHER, str(tmp_path / "a")]
    runs = [subprocess.Popen([*command, text, "0"], stderr=subprocess.PIPE) for text in ("left", "right")]
    ends = [(run.communicate()[1], run.returncode) for run in runs]
    assert min(code for _, code in ends) == 0
    assert all(code == 0 or b"is publishing here" in message for message, code in ends)
    assert texts(tmp_path / "a") in (["left", "left"], ["right", "right"])


@pytest.mark.fault(21)
def test_a_reader_keeps_the_version_it_opened(tmp_path):
    publish_text(tmp_path / "a", "old")
    opened = storage.open_artifact(tmp_path / "a")
    publish_text(tmp_path / "a", "new")
    assert opened.file("deep/a.txt").read_text() == "old"
    assert storage.open_artifact(tmp_path / "a").file("deep/a.txt").read_text() == "new"
    with pytest.raises(IntegrityError, match=f"expected {opened.digest}"):
        storage.open_artifact(tmp_path / "a", digest=opened.digest)


@pytest.mark.fault(22)
def test_a_flipped_bit_in_a_shard_is_refused_at_open(tmp_path):
    artifact = publish_shards(tmp_path / "s")
    path = artifact.folder / "train-00001.arrow"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    expected = artifact.files["train-00001.arrow"].sha256
    with pytest.raises(IntegrityError, match=rf"train-00001\.arrow: sha256 is [0-9a-f]+, expected {expected}"):
        TokenShards.open(tmp_path / "s")


@pytest.mark.fault(23)
def test_a_missing_and_a_surplus_shard_are_refused_at_open(tmp_path):
    artifact = publish_shards(tmp_path / "s")
    shard = artifact.folder / "train-00001.arrow"
    surplus = artifact.folder / "train-00009.arrow"
    surplus.write_bytes(shard.read_bytes())
    with pytest.raises(IntegrityError, match=r"train-00009\.arrow: unexpected file"):
        TokenShards.open(tmp_path / "s")
    surplus.unlink()
    shard.unlink()
    with pytest.raises(IntegrityError, match=r"train-00001\.arrow: missing"):
        TokenShards.open(tmp_path / "s")
