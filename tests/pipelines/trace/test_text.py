"""Plain-text traces: every kind of outcome, from the facts alone."""

import pytest

from pipelines.trace.text import render

RECORD = {"warc_path": "a.warc.gz", "warc_offset": 1234, "fetched_at": "2024-01-01T00:00:00Z", "crawl": "demo"}
TOKENS = {"split": "train", "shard": "train-00000.arrow", "row": 1200, "start": 10, "end": 1510, "stream_start": 99000}


def traced(*passages, tokens=None, training=None, record=RECORD):
    return render(
        {
            "url": "https://example.org/",
            "doc_id": "id",
            "partition": "demo/g0000",
            "record": record,
            "passages": [{"stage": stage, "outcome": outcome, "found": found} for stage, outcome, found in passages],
            "tokens": tokens,
            "training": training,
        }
    ).splitlines()


def test_the_record_stands_first():
    lines = traced(("extract", "kept", {"text_bytes": 4321}))
    assert lines == [
        "https://example.org/",
        "  document       id",
        "  partition      demo/g0000, fetched 2024-01-01T00:00:00Z",
        "  record         a.warc.gz at byte 1,234",
        "  extract        kept     4,321 bytes of text",
        "  tokens         not yet run",
    ]
    assert traced(("extract", "not yet run", {}), record={}) == [
        *lines[:2],
        "  partition      demo/g0000",
        "  extract        not yet run",
    ]
    assert traced(("added", "kept", {}))[2:4] == ["  source         demo", "  record         a.warc.gz, row 1,234"]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"language_score": 0.98765, "language_score_threshold": 0.65}, "language_score 0.9877 (threshold 0.65)"),
        ({"num_pii": 3, "num_pii_email": 2, "num_pii_phone": 1, "num_pii_ip": 0}, "masked 2 email and 1 phone"),
        ({"num_pii": 0, "num_pii_email": 0}, "nothing to mask"),
        ({"num_cut_passages": 2}, "cut 2 shared passages"),
        ({"num_cut_passages": 0}, "no passage shared with evaluation items"),
    ],
)
def test_findings_in_words(found, said):
    assert traced(("step", "kept", found))[4] == f"  step           kept     {said}"


def test_a_removed_document_ends_with_its_rule_and_winner():
    found = {
        "rule": "near_duplicate",
        "value": 0.91,
        "threshold": 0.7,
        "duplicate_of": "w",
        "duplicate_url": None,
        "stayed": "s",
        "stayed_url": "u",
    }
    assert traced(("dedup", "removed", found))[4:] == [
        "  dedup          removed  near_duplicate: 0.91 (threshold 0.7)",
        "                          duplicate of ?  w",
        "                          that document was removed too; kept: u  s",
    ]


def test_long_lists_are_cut_and_counted():
    losers = [{"url": f"u{i}", "rule": "near_duplicate", "jaccard": 0.75 if i else None} for i in range(7)]
    dropped = ["x" * 100, "short"]
    lines = traced(("dedup", "kept", {"chosen_over": losers, "dropped_lines": dropped, "stale": "made anew"}))[5:]
    assert lines[0].strip() == "chosen over u0 (near_duplicate)"
    assert lines[1].strip() == "chosen over u1 (near_duplicate 0.75)"
    assert [line.strip() for line in lines[5:]] == [
        "and 2 more",
        f"dropped the line “{'x' * 80}…”",
        "dropped the line “short”",
        "stale: made anew",
        "tokens         not yet run",
    ]


@pytest.mark.parametrize(
    ("tokens", "training", "end"),
    [
        ({**TOKENS, "split": "validation"}, None, "training       held out for validation"),
        (TOKENS, None, "training       not yet run"),
        (TOKENS, {"stale": "other shards"}, "training       stale: other shards"),
        (TOKENS, {"steps": [], "num_steps": 2000}, "training       not read in 2,000 steps"),
        (TOKENS, {"steps": [3, 1700], "num_steps": 2000}, "training       read in 2 of 2,000 steps: 3, 1,700"),
        ({"split": None, "stale": "x"}, None, "tokens         not in this artifact: x"),
    ],
)
def test_the_end_is_the_training(tokens, training, end):
    lines = traced(("dedup", "kept", {}), tokens=tokens, training=training)
    assert lines[-1].strip() == end
    if tokens["split"]:
        assert f"{tokens['split']}, train-00000.arrow, row 1,200, tokens 10 to 1,510" in lines[5]
        assert lines[6].strip() == "1,500 tokens; in the stream of the split from 99,000"
