"""Gopher's thirteen repetition rules against a plain reference, and the stage."""

import gzip
import json
import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from lm.errors import ConfigurationError
from pipelines.documents.tables import REMOVALS
from pipelines.documents.view import read_documents, read_schema
from pipelines.filters.heuristics import HeuristicFilter
from pipelines.filters.pii import PiiMasker
from pipelines.filters.repetition import (
    SHARE_COLUMNS,
    THRESHOLDS,
    RepetitionFilter,
    duplicate_share,
    repetition_shares,
    shares_of,
)
from pipelines.filters.run import run_stage
from pipelines.filters.text_statistics import measure, measure_all
from tests.pipelines.filters.test_heuristics import prose
from tests.pipelines.published import publish_documents, rows_of


def reference_top(words, n):
    """Characters of the most frequent n-gram, times its count, by the text joined with single spaces."""
    grams = Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))
    most = max(grams.values(), default=0)
    if most < 2:
        return 0.0
    longest = max(len(" ".join(gram)) for gram, count in grams.items() if count == most)
    return min(1.0, most * longest / len(" ".join(words)))


def reference_duplicate(words, n):
    """Characters in n-grams seen before, the walk going on behind each."""
    seen, characters, i = set(), 0, 0
    while i <= len(words) - n:
        gram = tuple(words[i : i + n])
        if gram in seen:
            characters += len(" ".join(gram))
            i += n
        else:
            seen.add(gram)
            i += 1
    return characters / max(1, len(" ".join(words)))


@pytest.mark.parametrize(("num_words", "vocabulary"), [(300, 3), (300, 40), (2_000, 12), (7, 2), (1, 1)])
def test_ngram_shares_equal_a_plain_reference(num_words, vocabulary):
    chooser = random.Random(num_words + vocabulary)
    words = [f"w{'x' * (k % 5)}{k}" for k in chooser.choices(range(vocabulary), k=num_words)]
    shares = repetition_shares(" ".join(words))
    for n in (2, 3, 4):
        assert shares[f"top_{n}_gram"] == pytest.approx(reference_top(words, n))
    for n in range(5, 11):
        assert shares[f"duplicate_{n}_grams"] == pytest.approx(reference_duplicate(words, n))


def test_lines_and_paragraphs_count_what_came_before():
    text = "alpha\nbeta beta\n\nalpha\nbeta beta\n\ngamma\n"
    shares = repetition_shares(text)
    assert shares["duplicate_lines"] == pytest.approx(2 / 5)
    assert shares["duplicate_line_characters"] == pytest.approx(14 / 33)
    assert shares["duplicate_paragraphs"] == pytest.approx(1 / 3)
    assert shares["duplicate_paragraph_characters"] == pytest.approx(14 / 33)


def test_shares_of_a_batch_are_those_of_each_text():
    chooser = random.Random(4)
    texts = ["".join(chooser.choices(["one ", "two ", "a b c d e f ", "\n", "\n\n"], k=60)) for _ in range(50)]
    among = np.array([chooser.random() < 0.5 for _ in texts])
    shares = shares_of(measure_all([*texts, ""]), np.append(among, True))
    for place in np.flatnonzero(among).tolist():
        assert dict(zip(THRESHOLDS, shares[:, place].tolist(), strict=True)) == repetition_shares(texts[place])
    assert not shares[:, -1].any()


def test_table_a1_has_thirteen_rules_in_order():
    assert list(repetition_shares("some text")) == list(THRESHOLDS)
    assert len(THRESHOLDS) == 13


@pytest.mark.parametrize("text", ["", "\n \n", "one", "one two three four"])
def test_short_texts_repeat_nothing(text):
    assert set(repetition_shares(text).values()) == {0.0}
    assert duplicate_share(*measure(text).lines) == (0.0, 0.0)


def test_the_stage_names_the_first_rule_that_fails():
    distinct = " ".join(f"word{i}" for i in range(200))
    spam = "buy cheap pills now online today " * 30
    schema = pa.schema([("doc_id", pa.string()), ("url", pa.string()), ("text", pa.large_string())])
    rows = [{"doc_id": str(i), "url": "u", "text": text} for i, text in enumerate([distinct, spam, "same line\n" * 20])]
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    kept, removed = RepetitionFilter(preset="gopher")(batch)
    assert kept.column("doc_id").to_pylist() == ["0"]
    assert removed.column("rule").to_pylist() == ["top_2_gram", "duplicate_lines"]
    assert removed.column("threshold").to_pylist() == [0.20, 0.30]
    assert all(row["value"] > row["threshold"] for row in removed.to_pylist())
    assert RepetitionFilter()(batch)[1].column("threshold").to_pylist() == [0.25, 0.30]
    off = RepetitionFilter(overrides={rule: None for rule in THRESHOLDS if rule != "duplicate_10_grams"})
    assert off(batch)[1].column("rule").to_pylist() == ["duplicate_10_grams", "duplicate_10_grams"]


def test_a_misspelt_rule_names_the_nearest():
    with pytest.raises(ConfigurationError, match="did you mean 'duplicate_lines'"):
        RepetitionFilter(overrides={"duplicated_lines": 0.1})


def test_real_prose_passes(shared_data):
    with gzip.open(shared_data("prose/public_domain.jsonl.gz"), "rt", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"][:6_000] for line in lines]
    for text in texts:
        assert [rule for rule, share in repetition_shares(text).items() if share > THRESHOLDS[rule]] == []


@pytest.mark.fault(15)
# What grows with the square takes hours and ends at the time limit of every test; `benchmarks.long_input` measures.
@pytest.mark.parametrize("num_distinct", [1, 100_000])
def test_fifty_megabytes_are_measured(num_distinct):
    chooser = random.Random(0)
    part = " ".join(f"word{chooser.randrange(num_distinct)}" for _ in range(500_000))
    text = (part + "\n") * (50_000_000 // len(part))
    shares = repetition_shares(text)
    assert shares["duplicate_lines"] > 0.8


def test_the_default_keeps_a_recipe_that_gopher_removes():
    """Ingredients that the steps name again with their amounts."""
    ingredients = [
        "two cups of fine rye flour", "one pinch of coarse sea salt", "three spoons of melted fresh butter",
        "half a litre of warm milk", "four eggs from a good farm",
    ]  # fmt: skip
    steps = [
        "In a wide bowl mix {} with your hands until no lumps are left in it.",
        "Season everything with {} and leave the dough alone for an hour at least.",
        "Meanwhile heat the oven, grease a tin and brush its sides using {} while waiting.",
        "Pour {} slowly over what has risen, then knead again and cover with a towel.",
        "Beat {}, spread them on top, bake for forty minutes and let it cool down.",
    ]
    recipe = "\n".join([*ingredients, *map(str.format, steps, ingredients)])
    assert RepetitionFilter(preset="gopher").verdict(recipe).rule == "duplicate_5_grams"
    assert RepetitionFilter().verdict(recipe) is None
    assert RepetitionFilter().verdict(recipe + "\n" + recipe) is not None
    with pytest.raises(ConfigurationError, match="did you mean 'gopher'"):
        RepetitionFilter(preset="gofer")


def test_the_shares_that_heuristics_measured_judge_as_the_text_does(tmp_path):
    """One walk over the text serves both; a stage between them, or none before, and the text is walked again."""
    texts = [" ".join([word] * 40) for word in ("ab cd", "over and over")] + [prose(30, seed) for seed in range(6)]
    source = publish_documents(tmp_path / "in", texts)
    kept = HeuristicFilter(preset="gopher", overrides={"min_words": None, "stop_words": None})
    first = run_stage(kept, source, tmp_path / "heuristics")
    measured = run_stage(RepetitionFilter(), first, tmp_path / "measured")
    between = run_stage(PiiMasker(), first, tmp_path / "between")
    walked = run_stage(RepetitionFilter(), between, tmp_path / "walked")
    assert set(SHARE_COLUMNS) <= set(read_schema(first).names)
    assert not set(SHARE_COLUMNS) & set(read_schema(measured).names + read_schema(between).names)
    for artifact in (first, measured, between, walked):
        assert [batch.schema.names for batch in read_documents(artifact)] == [read_schema(artifact).names]
    assert rows_of(measured, REMOVALS) == rows_of(walked, REMOVALS) and measured.summary["num_removed"] >= 2
    for row in rows_of(first):
        assert {name: row[f"measured_{name}"] for name in THRESHOLDS} == repetition_shares(row["text"])
