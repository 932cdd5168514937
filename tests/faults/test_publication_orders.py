"""Fault 40: two publishers and a reader of one artifact in a store, in every order of their requests.

A process runs the real code against a store in memory. It is advanced by one request: the code runs again from its
beginning, gets the recorded answers to its earlier requests, has the next one answered by the store as it is now, and
is stopped at the one after. Every state that some order leads to is visited once.
"""

import functools
import hashlib
import io
import json
from collections import Counter

import pytest

from lm import manifest, remote_store, storage
from lm.errors import ConflictError, IntegrityError
from lm.stored_files import FileEntry

ROOT = "prefix/a"


class Paused(BaseException):
    """Stops a process at a request that is not its turn yet, as a kill would."""


class Store:
    """What a store holds: files by name. It cannot be changed; each request that writes gives another one."""

    def __init__(self, files=(), num_manifests=0):
        self.files = dict(files)
        self.num_manifests = num_manifests
        self.key = (frozenset(self.files.items()), num_manifests)

    def with_file(self, name, content):
        is_manifest = name == f"{ROOT}/manifest.json"
        return Store({**self.files, name: content}, self.num_manifests + is_manifest)

    def without(self, name):
        return Store({other: content for other, content in self.files.items() if other != name}, self.num_manifests)

    def folders(self):
        return {name.split("/")[2] for name in self.files if name.count("/") > 2}


class FakeFiles:
    """The fsspec file system of one process: recorded answers first, then at most `num_requests` new ones."""

    def __init__(self, protocol, store, log, num_requests):
        self.protocol, self.store, self.log = protocol, store, list(log)
        self.position = 0
        self.num_requests = num_requests

    def _answer(self, request):
        if self.position == len(self.log):
            if self.num_requests == 0:
                raise Paused
            self.num_requests -= 1
            try:
                answer = request()
            except OSError as error:
                answer = error
            self.log.append((answer, self.store.num_manifests))
        answer, _ = self.log[self.position]
        self.position += 1
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _read(self, path):
        if path not in self.store.files:
            raise FileNotFoundError(path)
        return self.store.files[path]

    def _write(self, path, content):
        self.store = self.store.with_file(path, content)

    def info(self, path):
        if path == ROOT.split("/")[0]:
            return {"type": "directory"}
        # A tag by content, as S3's: the same bytes written again have the same tag.
        return self._answer(lambda: {"ETag": hashlib.md5(self._read(path)).hexdigest()})

    def cat_file(self, path):
        return self._answer(lambda: self._read(path))

    def open(self, path, mode, **options):
        return io.BytesIO(self._answer(lambda: self._read(path)))

    def find(self, folder, detail):
        return self._answer(
            lambda: {
                name: {"size": len(content)}
                for name, content in self.store.files.items()
                if name.startswith(f"{folder}/")
            }
        )

    def ls(self, folder, detail):
        return [{"name": name, "type": "file", **info} for name, info in self.find(folder, detail).items()]

    def makedirs(self, path, exist_ok):
        pass

    def put_file(self, source, path):
        with open(source, "rb") as stream:  # noqa: PTH123
            content = stream.read()
        self._answer(lambda: self._write(path, content))

    def rm_file(self, path):
        def remove():
            self._read(path)
            self.store = self.store.without(path)

        self._answer(remove)

    def pipe_file(self, path, content, mode="overwrite", IfMatch=None):  # noqa: N803 - S3's name
        def write():
            there = self.store.files.get(path)
            if mode == "create" and there is not None:
                raise OSError(22, "PreconditionFailed")
            if IfMatch is not None and (there is None or hashlib.md5(there).hexdigest() != IfMatch):
                raise OSError(22, "PreconditionFailed")
            self._write(path, content)

        self._answer(write)


class FakePath:
    """The location of a store, as `upath.UPath` is one."""

    def __init__(self, fs, path=ROOT):
        self.fs, self.path, self.name = fs, path, path.rpartition("/")[2]

    def __truediv__(self, name):
        return FakePath(self.fs, f"{self.path}/{name}")

    def __str__(self):
        return f"store://{self.path}"


@functools.cache
def contents(text):
    """The files of a version and the manifest for each name of it."""
    files = {name: FileEntry(len(text), hashlib.sha256(text.encode()).hexdigest()) for name in ("x", "y")}
    facts = {"kind": "text", "config": {"text": text}, "inputs": {}, "code": "", "summary": {}}
    manifest_of = functools.cache(functools.partial(manifest.manifest_bytes, files=files, facts=facts))
    return files, manifest.content_of(files), manifest_of


def publish(place, staged, *texts):
    """Publish each text in turn, by the store's part of `storage.publish`."""
    for text in texts:
        files, content, manifest_of = contents(text)
        store = remote_store.RemoteStore(place)
        before = store.begin()
        previous = None if before is None else json.loads(before)["version"]
        store.commit(staged / text, content, files, manifest_of, previous)
    return "published"


def read(place):
    artifact = storage.open_artifact(place)
    return [artifact.file(name).read_text() for name in ("x", "y")]


class World:
    """The processes, and all states that some order of their requests leads to."""

    def __init__(self, protocol, staged, monkeypatch):
        self.protocol, self.staged, self.monkeypatch = protocol, staged, monkeypatch
        for text in ("new", "old", "older", "last", "other"):
            (staged / text).mkdir()
            for name in ("x", "y"):
                (staged / text / name).write_text(text)
        monkeypatch.setattr(remote_store, "_keep", lambda staged, copy: None)
        monkeypatch.setattr(remote_store, "_is_whole", lambda copy, entry: False)

    def publisher(self, *texts):
        return lambda place: publish(place, self.staged, *texts)

    def step(self, process, number, store, log, num_requests=1):
        """Advance a process, to its end where these are its last requests: the store, its log and end after them."""
        files = FakeFiles(self.protocol, store, log, num_requests)
        count = iter(range(10**6))
        self.monkeypatch.setattr(remote_store.secrets, "token_hex", lambda size: f"{number:04x}{next(count):04x}")
        try:
            end = process(FakePath(files))
        except Paused:
            end = None
        except (ConflictError, IntegrityError) as error:
            end = error
        return files.store, tuple(files.log), end

    def published(self, texts):
        """The store after these publications, one after the other."""
        store = Store()
        for number, text in enumerate(texts):
            store = self.publish_alone(text, 100 + number, store)
        return store

    def publish_alone(self, text, number, store):
        """The store after one more publication, undisturbed."""
        return self.step(self.publisher(text), number, store, (), num_requests=10**6)[0]

    def states(self, processes, store):
        """Every reachable `(store, logs, ends)`, each once."""
        first = (store, ((),) * len(processes), (None,) * len(processes))
        waiting, seen = [first], {self.key(first)}
        while waiting:
            state = waiting.pop()
            yield state
            store, logs, ends = state
            for index, process in enumerate(processes):
                if ends[index] is None:
                    after, log, end = self.step(process, index, store, logs[index])
                    following = (after, replaced(logs, index, log), replaced(ends, index, end))
                    if self.key(following) not in seen:
                        seen.add(self.key(following))
                        waiting.append(following)

    @staticmethod
    def key(state):
        store, logs, ends = state
        ahead = tuple(repr(log) if end is None else repr(end) for log, end in zip(logs, ends, strict=True))
        return store.key, ahead


def replaced(items, index, item):
    return (*items[:index], item, *items[index + 1 :])


def check_current_is_whole(store):
    """The manifest names files that are all there, with the bytes it lists."""
    current = store.files.get(f"{ROOT}/manifest.json")
    if current is None:
        return None
    content = json.loads(current)
    for name, entry in content["files"].items():
        stored = store.files.get(f"{ROOT}/v-{content['version']}/{name}")
        assert stored is not None, f"the manifest names {name}, which was deleted"
        assert hashlib.sha256(stored).hexdigest() == entry["sha256"]
    return content["config"]["text"]


def check_reader(log, end):
    """One whole version; or a refusal, and only where two publications came after it was opened."""
    if isinstance(end, IntegrityError):
        opened = [count for answer, count in log if isinstance(answer, bytes) and b"loam-artifact" in answer]
        assert log[-1][1] - opened[0] >= 2, f"refused after fewer than two publications: {end}"
    else:
        assert len(set(end)) == 1, f"a mixture: {end}"


THERE_AND_BACK = "a new content, and there and back again"
PUBLISHERS = {
    "two new contents": (("new",), ("other",)),
    "the current content again, and a new one": (("old",), ("new",)),
    "the content before the current one, and a new one": (("older",), ("new",)),
    "the same new content": (("new",), ("new",)),
    THERE_AND_BACK: (("new",), ("other", "old")),
}


@pytest.mark.fault(40)
@pytest.mark.parametrize("protocol", ["s3", "memory"])
@pytest.mark.parametrize("history", [(), ("older", "old")], ids=["first", "third"])
@pytest.mark.parametrize("name", PUBLISHERS)
def test_in_every_order_of_two_publishers_no_named_version_is_deleted(
    protocol, history, name, tmp_path, monkeypatch, cache
):
    if name == THERE_AND_BACK:
        history = history[1:]  # with two versions before, 51 s instead of 10
    texts = PUBLISHERS[name]
    world = World(protocol, tmp_path, monkeypatch)
    before = world.published(history)
    ends_seen, num_states = Counter(), 0
    for store, _, ends in world.states([world.publisher(*each) for each in texts], before):
        num_states += 1
        current = check_current_is_whole(store)
        if None in ends:
            continue
        outcomes = tuple(sorted(end if isinstance(end, str) else type(end).__name__ for end in ends))
        ends_seen[outcomes] += 1
        published = {each[-1] for each, end in zip(texts, ends, strict=True) if end == "published"}
        assert published
        assert current in published or "ConflictError" in outcomes
        after = world.publish_alone("last", 200, store)
        assert check_current_is_whole(after) == "last"
        if protocol == "s3":
            assert len(after.folders()) <= 2, "the next publication removes what a refused one left"
    assert num_states > 60
    assert ("published", "published") in ends_seen


@pytest.mark.fault(40)
@pytest.mark.parametrize("protocol", ["s3", "memory"])
def test_in_every_order_of_two_publishers_and_a_reader_one_whole_version_is_read(
    protocol, tmp_path, monkeypatch, cache
):
    world = World(protocol, tmp_path, monkeypatch)
    processes = [world.publisher("new"), world.publisher("other"), read]
    seen = set()
    for _, logs, ends in world.states(processes, world.published(["old"])):
        if ends[2] is not None:
            check_reader(logs[2], ends[2])
            seen.add(ends[2][0] if isinstance(ends[2], list) else type(ends[2]))
    assert seen == {"old", "new", "other", IntegrityError}
