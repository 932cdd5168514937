"""Faults of deduplication and tokenization: texts too short, colliding hashes, documents too large, killed workers."""

import os
import random
import signal
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from lm.errors import IntegrityError, NoSpaceError
from lm.tokenizer import Tokenizer
from lm.tokenizer.tokenizer import SPECIAL_TOKENS
from pipelines.dedup import corpus, deduplicate, exact, minhash
from pipelines.dedup.corpus import DeduplicationConfig, deduplicate_partitions
from pipelines.dedup.minhash_config import MinHashConfig
from pipelines.documents.tables import DOCUMENTS
from pipelines.executor.partitions import run_partitions
from pipelines.filters.pii import PiiMasker
from pipelines.filters.run import run_stage
from pipelines.tokens.shards import write_token_shards
from tests.pipelines.published import publish_documents, rows_of


def texts_of(artifact):
    return [row["text"] for row in rows_of(artifact)]


@pytest.mark.fault(13)
def test_empty_and_three_word_documents_are_never_near_duplicates(tmp_path):
    texts = ["", "", "just three words", "just three words", "just three words!", " , "]
    config = DeduplicationConfig(same_text=False)
    found = deduplicate_partitions({"t/g0000": publish_documents(tmp_path / "in", texts)}, tmp_path / "out", config)
    assert found.summary["num_removed"] == 0 and found.summary["num_unsigned"] == 6
    assert texts_of(found) == texts


@pytest.mark.fault(14)
def test_texts_with_the_same_hash_are_compared():
    def collide(text):
        return 42

    groups = exact.TextGroups(hash_of=collide)
    assert [groups.add(index, text) for index, text in enumerate(["a", "b", "a", "c"])] == [0, 1, 0, 3]


@pytest.mark.fault(14)
def test_a_collision_in_the_corpus_removes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "hash_text", lambda text: 42)
    sources = {
        "t/g0000": publish_documents(tmp_path / "a", ["one text", "another text"]),
        "t/g0001": publish_documents(tmp_path / "b", ["a third text", "one text"], first=2),
    }
    found = deduplicate_partitions(sources, tmp_path / "out")
    assert texts_of(found) == ["one text", "another text", "a third text"]
    assert found.summary["removed_by_rule"] == {"same_text": 1}


@pytest.mark.fault(15)
def test_a_document_of_50_megabytes_is_signed():
    generator = np.random.default_rng(1)
    text = " ".join([" ".join(map(str, generator.integers(0, 100_000, 850_000)))] * 10)
    assert len(text) > 49_000_000
    found = deduplicate([text, "a short one that has nothing to do with it"])
    assert found.kept.all()


@pytest.mark.fault(15)
def test_a_word_of_a_million_letters_is_one_word():
    text = "a" * 1_000_000 + " b c d e"
    assert minhash.sign([text], MinHashConfig()).valid.all()


def kill_me_once(folder, function, job):
    """Do a job of `function`, but let the first worker that gets here die."""
    marker = Path(folder) / f"died in {function.func.__name__}"
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return function(job)


@pytest.mark.fault(38)
def test_workers_killed_while_they_sign_and_compare_change_nothing(tmp_path, monkeypatch):
    def sources(folder):
        return {f"t/g000{i}": publish_documents(folder / str(i), [f"{i} {j} " * 9 for j in range(20)], first=20 * i)
                for i in range(3)}  # fmt: skip

    calm = deduplicate_partitions(sources(tmp_path / "a"), tmp_path / "a" / "out")
    run_jobs = run_partitions

    def run_with_a_death(function, jobs, **options):
        return run_jobs(partial(kill_me_once, str(tmp_path), function), jobs, **options)

    monkeypatch.setattr(corpus, "run_partitions", run_with_a_death)
    monkeypatch.setattr(corpus, "FEWEST_FOR_PROCESSES", 0)
    killed = deduplicate_partitions(sources(tmp_path / "b"), tmp_path / "b" / "out", num_workers=2)
    assert {path.name for path in tmp_path.glob("died in *")} == {
        "died in _index_partition",
        "died in _shingle_partition",
    }
    assert killed.digest == calm.digest


def noise(seed, num_words):
    """Words that no compression makes small."""
    generator = random.Random(seed)
    return " ".join(f"{generator.getrandbits(64):x}" for _ in range(num_words))


def write_stage(source, target):
    run_stage(PiiMasker(), source, target)


def write_tokens(source, target):
    tokenizer = Tokenizer({i: bytes([i]) for i in range(256)}, [], SPECIAL_TOKENS)
    tokenizer.save(source.path.parent)
    write_token_shards(source, source.path.parent, target)


def write_corpus(source, target):
    config = DeduplicationConfig(near_duplicates=False, repeated_lines="keep_none")
    deduplicate_partitions({"t/g0000": source}, target, config)


@pytest.mark.fault(18)
@pytest.mark.parametrize("write", [write_stage, write_tokens, write_corpus])
def test_a_full_disk_is_named_and_nothing_half_written_stays(tmp_path, small_disk, write):
    changed = "\nwrite to somebody@example.org"  # a mask, and a repeated line: every text is written anew
    source = publish_documents(tmp_path / "in", [noise(seed, 1000) + changed for seed in range(200)])
    place = r"small/out(\.work/part-\d+)?"  # encoded parts are published one by one beside the shards
    with pytest.raises(NoSpaceError, match=place + r": no space left on device; more than [\d,]+ bytes needed"):
        write(source, small_disk / "out")
    assert {path.name for path in small_disk.rglob("*") if path.is_file()} == {".lock"}


@pytest.mark.fault(22)
def test_a_flipped_bit_in_documents_is_refused(tmp_path):
    source = publish_documents(tmp_path / "in", ["one text", "another"])
    path = source.folder / DOCUMENTS
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    for write in (write_stage, write_tokens):
        with pytest.raises(IntegrityError, match=r"documents\.parquet: sha256 is [0-9a-f]{64}, expected"):
            write(source, tmp_path / "out")


@pytest.mark.fault(19)
def test_deduplicating_again_rewrites_nothing(tmp_path):
    sources = {"t/g0000": publish_documents(tmp_path / "in", ["one text", "one text", "another"])}
    first = deduplicate_partitions(sources, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    second = deduplicate_partitions(sources, tmp_path / "out")
    assert second.digest == first.digest
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
