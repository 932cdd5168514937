"""Repeated lines of a corpus: the same as with all texts in memory, whatever the partitions, slices and workers."""

import random
from collections import Counter

import numpy as np
import pytest

from lm.errors import ConfigurationError
from pipelines.dedup import repeated_lines
from pipelines.dedup.corpus import DeduplicationConfig, deduplicate_partitions
from pipelines.dedup.exact import deduplicate_lines
from pipelines.dedup.repeated_lines import LineFilter, RepeatedLines, digests_of, find_repeated_lines
from pipelines.documents.tables import DOCUMENTS, REMOVALS
from pipelines.documents.view import count_documents
from tests.pipelines.published import doc_id, publish_documents, rows_of

KEEP = {"keep_first": "first", "keep_none": "none"}


def texts(seed, count):
    generator = random.Random(seed)
    lines = ["menu", "", "Home | About", "© all rights", "ü" * 9, *(f"story {n}" for n in range(40))]
    return [
        f"title {seed} {number}\n" + "\n".join(generator.choices(lines, k=6)) + generator.choice(["", "\n"])
        for number in range(count)
    ]


def sources(folder):
    parts = [texts(1, 30), [], texts(2, 25), ["menu\nmenu\n", "story 1", "", "\n\n"]]
    found, first = {}, 0
    for number, part in enumerate(parts):
        found[f"t/g000{number}"] = publish_documents(folder / str(number), part, first=first)
        first += len(part)
    return found, [text for part in parts for text in part]


def documents(artifact):
    return {row["doc_id"]: row["text"] for row in rows_of(artifact, DOCUMENTS)}


@pytest.mark.parametrize("keep", KEEP)
@pytest.mark.parametrize("shortest", [0, 1, 5])
def test_a_corpus_loses_the_lines_that_texts_in_memory_lose(tmp_path, keep, shortest):
    found, everything = sources(tmp_path)
    config = DeduplicationConfig(
        same_url=False, same_text=False, near_duplicates=False, repeated_lines=keep, min_line_characters=shortest
    )
    artifact = deduplicate_partitions(found, tmp_path / "out", config)
    # Lines that are too short are told apart by their place, so that none of them repeats.
    marked = [
        "\n".join(line if len(line) >= shortest else f"\0{i} {j}\0{line}" for j, line in enumerate(text.split("\n")))
        for i, text in enumerate(everything)
    ]
    if shortest == 0:
        marked = everything
    expected = [
        "\n".join(line.split("\0")[-1] for line in text.split("\n")) for text in deduplicate_lines(marked, KEEP[keep])
    ]
    kept = documents(artifact)
    emptied = {
        i for i, (old, new) in enumerate(zip(everything, expected, strict=True)) if old != new and not new.strip()
    }
    assert 0 < len(emptied) < len(everything) or shortest == 5
    assert set(kept) == {doc_id(i) for i in range(len(everything)) if i not in emptied}
    for i, text in enumerate(expected):
        if i not in emptied:
            assert kept[doc_id(i)].rstrip("\n") == text.rstrip("\n")
    removed = rows_of(artifact, REMOVALS)
    assert {row["doc_id"] for row in removed} == {doc_id(i) for i in emptied}
    assert {row["rule"] for row in removed} <= {"repeated_lines"} and all(0 < row["value"] <= 1 for row in removed)


def test_documents_emptied_are_accounted_for(tmp_path):
    found = {
        "t/g0000": publish_documents(tmp_path / "a", ["menu\nfooter", "menu\nits own story\nfooter"]),
        "t/g0001": publish_documents(tmp_path / "b", ["footer\nanother story\n"], first=2),
    }
    artifact = deduplicate_partitions(found, tmp_path / "out", DeduplicationConfig(repeated_lines="keep_none"))
    assert documents(artifact) == {doc_id(1): "its own story", doc_id(2): "another story\n"}
    summary = artifact.summary
    assert (summary["num_in"], summary["num_kept"], summary["num_removed"]) == (3, 2, 1)
    assert summary["removed_by_rule"] == {"repeated_lines": 1} and summary["num_lines_dropped"] == 5
    (row,) = rows_of(artifact, REMOVALS)
    assert (row["doc_id"], row["value"], row["duplicate_of"]) == (doc_id(0), 1.0, None)
    first = deduplicate_partitions(found, tmp_path / "first", DeduplicationConfig(repeated_lines="keep_first"))
    assert documents(first)[doc_id(0)] == "menu\nfooter" and first.summary["num_kept"] == 3


def test_only_documents_that_are_left_count(tmp_path):
    """A copy that leaves takes its lines with it: the original's are then unique."""
    story = "a line of a story\nand one more of it"
    found = {"t/g0000": publish_documents(tmp_path / "a", [story, story])}
    artifact = deduplicate_partitions(found, tmp_path / "out", DeduplicationConfig(repeated_lines="keep_none"))
    assert documents(artifact) == {doc_id(0): story}
    assert artifact.summary["num_lines_dropped"] == 0


def test_order_of_partitions_workers_and_memory_change_nothing(tmp_path):
    found, _ = sources(tmp_path)
    plain = DeduplicationConfig(repeated_lines="keep_first")
    small = DeduplicationConfig(repeated_lines="keep_first", memory_bytes=2**20)
    first = deduplicate_partitions(found, tmp_path / "out1", plain)
    second = deduplicate_partitions(dict(reversed(found.items())), tmp_path / "out2", small, num_workers=2)
    assert first.digest == second.digest


@pytest.mark.parametrize("memory_bytes", [2**30, 4096])
def test_repeated_lines_are_those_of_a_counter(tmp_path, memory_bytes):
    found, everything = sources(tmp_path)
    lengths = [count_documents(artifact) for artifact in found.values()]
    jobs = {key: (artifact, np.arange(length)) for (key, artifact), length in zip(found.items(), lengths, strict=True)}
    repeated = find_repeated_lines(jobs, tmp_path / "lines", min_characters=1, memory_bytes=memory_bytes)
    counts = Counter(line for text in everything for line in text.split("\n") if line)
    lines = sorted(counts)
    places = repeated.find(*digests_of(lines))
    assert [line for line, place in zip(lines, places, strict=True) if place >= 0] == [
        line for line in lines if counts[line] > 1
    ]
    assert sorted(places[places >= 0]) == list(range(repeated.high.size))
    assert sorted(path.name for path in (tmp_path / "lines").iterdir()) == ["high", "low"]


@pytest.mark.fault(14)
def test_lines_with_the_same_64_bits_are_told_apart(tmp_path, monkeypatch):
    real = repeated_lines.digest_line
    monkeypatch.setattr(repeated_lines, "digest_line", lambda line: bytes(8) + real(line)[8:])
    found = {"t/g0000": publish_documents(tmp_path / "a", ["one\ntwo\nthree", "four\ntwo", "five\nsix"])}
    artifact = deduplicate_partitions(found, tmp_path / "out", DeduplicationConfig(repeated_lines="keep_none"))
    assert list(documents(artifact).values()) == ["one\nthree", "four", "five\nsix"]


def test_nothing_repeats():
    none = RepeatedLines(np.empty(0, np.uint64), np.empty(0, np.uint64))
    line_filter = LineFilter(none, "first", 0)
    assert line_filter(["a\nb\n", "", "a"]) == (["a\nb\n", "", "a"], [0.0, 0.0, 0.0])
    assert line_filter([]) == ([], []) and line_filter.num_dropped == 0


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigurationError, match="min_line_characters: -1, expected at least 0"):
        DeduplicationConfig(min_line_characters=-1)
    with pytest.raises(ConfigurationError, match="memory_bytes: 5, expected at least 2"):
        DeduplicationConfig(memory_bytes=5)
