"""The part file of a download: one writer at a time, and resumption only from bytes of the same version."""

import multiprocessing

import pytest

from lm.errors import ConflictError
from pipelines.fetch.partial_file import part_of

URL = "https://example.org/x"


def _hold(target, ready, done):
    with part_of(target, URL):
        ready.set()
        done.wait(20)


def test_one_process_at_a_time(tmp_path):
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(tmp_path / "x", ready, done))
    other.start()
    try:
        assert ready.wait(20)
        with pytest.raises(ConflictError, match="another process"), part_of(tmp_path / "x", URL):
            pass
    finally:
        done.set()
        other.join()
    with part_of(tmp_path / "x", URL) as part:
        part.path.write_bytes(b"whole")
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def interrupted(target, url=URL):
    with pytest.raises(InterruptedError), part_of(target, url) as part:
        part.begin("version 1")
        part.path.write_bytes(b"half")
        raise InterruptedError


def test_the_next_attempt_goes_on_from_the_same_version(tmp_path):
    interrupted(tmp_path / "x")
    with part_of(tmp_path / "x", URL) as part:
        assert (part.validator, part.size_bytes()) == ("version 1", 4)
        part.discard()
        assert part.size_bytes() == 0 == part.path.stat().st_size


def test_bytes_of_another_address_or_of_nobody_knows_what_do_not_count(tmp_path):
    interrupted(tmp_path / "x", "https://example.org/other")
    with part_of(tmp_path / "x", URL) as part:
        assert part.size_bytes() == 0
    interrupted(tmp_path / "y")
    (tmp_path / ".y.part.json").write_text("{")
    with part_of(tmp_path / "y", URL) as part:
        assert part.size_bytes() == 0
