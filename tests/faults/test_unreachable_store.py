"""Fault 39: a store that fails once, or for a while, at any request."""

import errno
import itertools
import os
import shutil
import signal
import time

import pytest

from lm import storage, store_access
from lm.errors import AbsentError, Interrupted, LoamError, UnreachableError
from lm.local_store import LocalStore
from lm.locations import cache_folder, locate
from tests.lm.test_storage import WORK

OTHER_WORK = WORK | {"code": "c1"}


def cut_the_line():
    raise ConnectionResetError


FAILURES = {"503": lambda: "503 Service Unavailable", "a dropped connection": cut_the_line}


class Failing:
    """Answers requests as `failure` says, from the `first` to before the `last`."""

    def __init__(self, failure, first=0, last=float("inf")):
        self.failure, self.first, self.last = failure, first, last
        self.num_requests = 0

    def __call__(self, method, path):
        self.num_requests += 1
        return self.failure() if self.first < self.num_requests <= self.last else None


class Work:
    """A piece of work that counts how often it is done."""

    def __init__(self, text="new"):
        self.text, self.num_times = text, 0

    def __call__(self, publication):
        self.num_times += 1
        (publication.path / "a.txt").write_text(self.text)


def life_of_an_artifact(target, work, identity=WORK):
    """Make it over an older one, find it again, and read it as another machine does."""
    made = storage.make(target, work, **identity)
    assert storage.make(target, work, **identity) == made
    shutil.rmtree(cache_folder() / "files", ignore_errors=True)
    return storage.open_artifact(target).file("a.txt").read_text()


@pytest.fixture
def target(s3, cache, little_patience):
    """An artifact that two publications have written: the next one has a version to drop."""
    url = f"{s3.bucket()}/a"
    for text in ("oldest", "old"):
        with storage.publish(url, **(WORK | {"config": {"text": text}})) as publication:
            (publication.path / "a.txt").write_text(text)
    return url


def num_requests(s3, monkeypatch, target):
    counting = Failing(lambda: None)
    with monkeypatch.context() as patch:
        patch.setattr(s3, "before", counting)
        life_of_an_artifact(target, Work("elsewhere"), OTHER_WORK)
    return counting.num_requests


@pytest.mark.fault(39)
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_one_failure_at_any_request_changes_nothing(s3, target, monkeypatch, failure):
    total = num_requests(s3, monkeypatch, target)
    for first in range(total):
        with storage.publish(target, **(WORK | {"config": {"text": str(first)}})) as publication:
            (publication.path / "a.txt").write_text(str(first))
        work, failing = Work(), Failing(failure, first, first + 1)
        with monkeypatch.context() as patch:
            patch.setattr(s3, "before", failing)
            assert life_of_an_artifact(target, work) == "new"
        assert work.num_times == 1
        assert failing.num_requests > first
    assert total > 15


@pytest.mark.fault(39)
def test_one_time_out_changes_nothing(s3, cache, little_patience, monkeypatch):
    import fsspec.config

    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"read_timeout": 0.5}})
    target = f"{s3.bucket()}/a"
    for request in ("GET", "PUT"):
        slow = Failing(lambda: time.sleep(1.5), 0, 1)
        with monkeypatch.context() as patch:
            patch.setattr(s3, "before", lambda *sent, request=request, slow=slow: sent[0] == request and slow(*sent))
            work = Work(request)
            assert life_of_an_artifact(target, work, WORK | {"code": request}) == request
        assert work.num_times == 1
        assert slow.num_requests > 1


@pytest.mark.fault(39)
def test_a_store_that_stays_silent_is_named_and_no_finished_work_is_done_again(s3, target, monkeypatch):
    """Down from any request on; then up again, for the same call."""
    outcomes = set()
    for first in itertools.count():
        identity = WORK | {"config": {"first": first}}
        work = Work(str(first))
        with monkeypatch.context() as patch:
            patch.setattr(s3, "before", Failing(cut_the_line, first))
            try:
                life_of_an_artifact(target, work, identity)
            except UnreachableError as error:
                assert target in str(error)
                assert "cannot be reached (3 attempts" in str(error)
                assert error.exit_code == 3
            else:
                break
        outcomes.add(work.num_times)
        finished = work.num_times
        assert life_of_an_artifact(target, work, identity) == str(first)
        assert work.num_times == max(finished, 1), f"done again after a failure at request {first}"
    assert outcomes == {0, 1}
    assert not list(cache_folder().rglob(".finished*"))


@pytest.mark.fault(39)
def test_finished_files_that_a_crash_has_torn_are_not_published(s3, target, monkeypatch):
    work = Work()
    puts = Failing(cut_the_line)
    with monkeypatch.context() as patch:
        patch.setattr(s3, "before", lambda *request: request[0] == "PUT" and puts(*request))
        with pytest.raises(UnreachableError):
            storage.make(target, work, **WORK)
    (torn,) = cache_folder().rglob(".finished-*/a.txt")
    torn.write_bytes(b"")
    assert life_of_an_artifact(target, work) == "new"
    assert work.num_times == 2


@pytest.mark.fault(39)
def test_a_refusal_is_not_an_absence(s3, target, monkeypatch):
    work = Work()
    life_of_an_artifact(target, work)
    monkeypatch.setattr(s3, "before", lambda *request: "403 Forbidden")
    for ask in (
        lambda: storage.make(target, work, **WORK),
        lambda: storage.find_artifact(target),
        lambda: storage.find_whole(target, storage.fingerprint(**WORK)),
        lambda: storage.open_artifact(target),
    ):
        with pytest.raises(LoamError, match="PermissionError") as refusal:
            ask()
        assert not isinstance(refusal.value, AbsentError | UnreachableError)
    assert work.num_times == 1


@pytest.mark.fault(39)
def test_a_folder_that_cannot_be_listed_is_not_empty(cache, little_patience, monkeypatch):
    place = locate("memory://unlisted/a")
    place.fs.pipe_file("/unlisted/a/deep/x", b"x")
    assert store_access.list_files(place) == {"deep/x": 1}
    ls = type(place.fs).ls

    def fail_below(self, path, **options):
        if path.endswith("deep"):
            raise TimeoutError
        return ls(self, path, **options)

    monkeypatch.setattr(type(place.fs), "ls", fail_below)
    with pytest.raises(UnreachableError, match="TimeoutError"):
        store_access.list_files(place)


@pytest.mark.fault(39)
def test_a_disk_that_fails_is_not_an_empty_one(tmp_path, monkeypatch):
    work = Work()
    storage.make(tmp_path / "a", work, **WORK)

    def fail(self):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.read_bytes", fail)
        with pytest.raises(UnreachableError, match=r"a/manifest\.json: cannot be read \(Input/output error\)"):
            storage.make(tmp_path / "a", work, **WORK)
    monkeypatch.setattr("os.scandir", lambda path: fail(path))
    with pytest.raises(OSError, match="Input/output"):
        LocalStore(tmp_path / "a").sizes("0" * 16)
    assert work.num_times == 1


@pytest.mark.fault(39)
def test_a_training_keeps_its_checkpoints_and_its_result(s3, cache, little_patience, one_thread, monkeypatch, tmp_path):
    from lm.training.pretrain import pretrain, work_folder
    from lm.training.run_checkpoint import checkpoint_folders
    from tests.lm.training.corpora import config_of, make_shards

    shards, output = make_shards(tmp_path / "s"), locate(f"{s3.bucket()}/model")
    config = config_of(num_steps=4, checkpoint_interval=1)
    steps = []

    def stop(event):
        if "loss" in event:
            steps.append(event["step"])
            if event["step"] == 2:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(Interrupted):
        pretrain(config, shards.path, output, stop)
    kept = checkpoint_folders(work_folder(output) / "checkpoints")
    assert kept
    with monkeypatch.context() as patch:
        patch.setattr(s3, "before", Failing(cut_the_line))
        with pytest.raises(UnreachableError):
            pretrain(config, shards.path, output)
    assert checkpoint_folders(work_folder(output) / "checkpoints") == kept
    puts = Failing(cut_the_line)
    with monkeypatch.context() as patch:
        patch.setattr(s3, "before", lambda *request: request[0] == "PUT" and puts(*request))
        with pytest.raises(UnreachableError):
            pretrain(
                config, shards.path, output, lambda event: steps.append(event["step"]) if "loss" in event else None
            )
    made = pretrain(config, shards.path, output, lambda event: steps.append(event["step"]) if "loss" in event else None)
    with monkeypatch.context() as patch:
        patch.setattr(s3, "before", Failing(cut_the_line))
        with pytest.raises(UnreachableError):
            pretrain(config, shards.path, output)
    assert storage.open_artifact(output) == made
    assert sorted(steps) == [1, 2, 3, 4]
    assert checkpoint_folders(work_folder(output) / "checkpoints") == []
