"""The comparison of tokenizers: on texts that none learned from, by language, the same bytes again."""

import json

import pytest

from lm.errors import ConfigurationError, InputError
from lm.tokenizer import SPECIAL_TOKENS, train_bpe
from lm.tokenizer.training.train import with_fewer_merges
from pipelines.tokens.shards import TokenizerConfig, train_corpus_tokenizer
from pipelines.tokens.tokenizer_report import (
    COMPARISON,
    PAGE,
    SAMPLES,
    TRAINED,
    TokenizerReportConfig,
    write_tokenizer_report,
)
from tests.pipelines.published import publish_documents

ENGLISH = [
    f"The river town number {i} was founded by people who came from the north with their boats and their horses. "
    f"They built {i % 9 + 2} houses near the water, and later a church, a school and a market for the whole valley."
    for i in range(80)
]
GERMAN = [
    f"Die Stadt Nummer {i} wurde von Menschen gegründet, die mit ihren Booten und Pferden aus dem Norden kamen. "
    "Sie bauten Häuser nahe am Wasser, später eine Kirche, eine Schule und einen Marktplatz für das ganze Tal."
    for i in range(8)
]
CONFIG = TokenizerReportConfig(vocab_sizes=(300, 400), max_texts_per_language=5)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    corpus = publish_documents(folder / "corpus", ENGLISH)
    tokenizer = train_corpus_tokenizer(corpus, folder / "tokenizer", TokenizerConfig(vocab_size=350))
    return corpus, tokenizer, [publish_documents(folder / "pages", [*ENGLISH, *GERMAN, "", "Uno solo texto."])]


def test_what_is_compared(inputs, tmp_path):
    speeds = []
    artifact = write_tokenizer_report(*inputs, tmp_path / "report", CONFIG, report=speeds.append)
    content = json.loads(artifact.file(COMPARISON).read_text())
    rows = {row["tokenizer"]: row for row in content["tokenizers"]}
    assert list(rows) == [TRAINED, "bpe 300", "bpe 400", "character", "byte", "word"]
    assert [row["tokenizer"] for row in speeds] == list(rows) and all(row["tokens_per_s"] > 0 for row in speeds)
    assert rows["byte"]["bytes_per_token"] == 1 and rows["bpe 300"]["vocab_size"] == 300
    assert 1 < rows["bpe 300"]["bytes_per_token"] < rows[TRAINED]["bytes_per_token"]
    assert rows[TRAINED]["bytes_per_token"] < rows["bpe 400"]["bytes_per_token"] < rows["word"]["bytes_per_token"]
    assert rows[TRAINED]["texts_that_come_back"] == 1 > rows["word"]["texts_that_come_back"]
    assert rows["word"]["unknown_share"] > 0 == rows["bpe 400"]["unknown_share"]
    assert [(row["language"], row["texts"]) for row in content["languages"]] == [("de", 5), ("en", 5)]
    german, english = (row["fertility"][TRAINED] for row in content["languages"])
    assert german > english
    for row in content["splits"]:
        assert "".join(row["character"]) != "" and set(row) == {"text", TRAINED, "character", "byte", "word"}
        assert row["text"] in SAMPLES
    page = artifact.file(PAGE).read_text()
    assert "| bpe 300 | 300 |" in page and "| de | 5 |" in page and SAMPLES[0] in page


def test_the_same_bytes_and_nothing_made_twice(inputs, tmp_path):
    first = write_tokenizer_report(*inputs, tmp_path / "one", CONFIG)
    assert write_tokenizer_report(*inputs, tmp_path / "two", CONFIG).digest == first.digest
    told = []
    assert write_tokenizer_report(*inputs, tmp_path / "one", CONFIG, report=told.append).digest == first.digest
    assert not told


def test_fewer_merges_are_those_of_a_smaller_training():
    large = train_bpe(ENGLISH, 500, SPECIAL_TOKENS, "digits")
    assert with_fewer_merges(large, 330).digest == train_bpe(ENGLISH, 330, SPECIAL_TOKENS, "digits").digest
    with pytest.raises(ConfigurationError, match="vocab_size: 260, expected at least 261"):
        with_fewer_merges(large, 260)


def test_what_cannot_be_is_refused(inputs, tmp_path):
    with pytest.raises(ConfigurationError, match=r"tokenizer_report.vocab_sizes: \(261,\), expected sizes from 262"):
        TokenizerReportConfig(vocab_sizes=(261,))
    with pytest.raises(ConfigurationError, match=r"tokenizer_report.max_text_bytes: 0, expected at least 1"):
        TokenizerReportConfig(max_text_bytes=0)
    with pytest.raises(InputError, match="too few documents, expected some for training and others for measurement"):
        write_tokenizer_report(publish_documents(tmp_path / "one", ENGLISH[:1]), *inputs[1:], tmp_path / "out")
