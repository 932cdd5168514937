"""Faults 17, 20 and 36 in an object store: killed publications, two publishers, secrets."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from lm import storage
from lm.errors import InputError
from lm.stores import store_at
from tests.lm.test_remote_store import stored
from tests.lm.test_storage import publish_text
from tests.stores import SECRET

PUBLISHER = textwrap.dedent(
    """
    import sys
    from lm import storage
    from lm.errors import run_command

    def main(argv):
        with storage.publish(sys.argv[1], kind="numbers", config={}, inputs={}, code="") as publication:
            for name in ("a.txt", "b.txt"):
                (publication.path / name).write_text(sys.argv[2])
        return 0

    run_command(main)
    """
)


def start_publisher(target, text, cache):
    command = [sys.executable, "-c", PUBLISHER, target, text]
    return subprocess.Popen(command, env={**os.environ, "LOAM_CACHE": str(cache)}, stderr=subprocess.PIPE, text=True)


def texts(target):
    artifact = storage.open_artifact(target)
    return [artifact.file(name).read_text() for name in artifact.names()]


def publish_here(target, text):
    with storage.publish(target, kind="numbers", config={}, inputs={}, code="") as publication:
        for name in ("a.txt", "b.txt"):
            (publication.path / name).write_text(text)


class Killer:
    """Kills a process at its n-th write to the store."""

    def __init__(self, kill_at):
        self.remaining = kill_at
        self.process = None

    def __call__(self, method, path):
        if method in ("PUT", "POST", "DELETE"):
            self.remaining -= 1
            if self.remaining == 0:
                os.kill(self.process.pid, signal.SIGKILL)
                self.process.wait()


@pytest.mark.slow
@pytest.mark.fault(17)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_publication_killed_at_any_write_leaves_the_old_version_or_the_new(s3, cache, monkeypatch, moment):
    """The server kills the publisher at its n-th write, before or after it obeyed."""
    target = f"{s3.bucket()}/a"
    seen = []
    for kill_at in range(1, 20):
        publish_here(target, "older")
        publish_here(target, "old")
        killer = Killer(kill_at)
        killer.process = start_publisher(target, "new", cache)
        with monkeypatch.context() as patch:
            patch.setattr(s3, moment, killer)
            killer.process.communicate()
        assert texts(target) in (["old", "old"], ["new", "new"])
        seen.append(texts(target)[0])
        if killer.process.returncode == 0:
            break
        assert killer.process.returncode == -signal.SIGKILL
    assert seen == sorted(seen, reverse=True)  # old, …, new
    assert kill_at > 4  # two files, the manifest, and what the oldest version leaves
    assert set(seen) == {"old", "new"}
    publish_here(target, "last")
    assert len({name.split("/")[0] for name in stored(target)} - {"manifest.json"}) == 2
    assert not list(cache.rglob(".staging*"))


@pytest.mark.fault(20)
def test_two_machines_at_once_publish_one_whole_version(s3, cache, tmp_path):
    target = f"{s3.bucket()}/a"
    runs = [start_publisher(target, text, tmp_path / text) for text in ("left", "right")]
    ends = [(run.communicate()[1], run.returncode) for run in runs]
    assert min(code for _, code in ends) == 0
    assert all(code == 0 or "another publication came first" in message for message, code in ends)
    assert texts(target) in (["left", "left"], ["right", "right"])


@pytest.mark.fault(36)
def test_a_refused_secret_is_in_no_message_and_no_manifest(s3, cache, monkeypatch, capsys):
    target = f"{s3.bucket()}/a"
    artifact = publish_text(target)
    assert all(SECRET.encode() not in content for content in stored(target).values())

    def refuse(method, path):
        raise PermissionError(f"key {SECRET} is refused: https://me:{SECRET}@host/?X-Amz-Signature=0123")

    store = store_at(artifact.path)
    monkeypatch.setattr(type(store), "_now", lambda self: refuse("", ""))
    with pytest.raises(InputError, match="is refused") as failure:
        storage.open_artifact(target)
    assert SECRET not in str(failure.value)
    assert "0123" not in str(failure.value)
    assert failure.value.__cause__ is None
