"""Merges are the definition's, whatever the threads and files; each mistake is named."""

import gzip
import json
import random
from collections import Counter

import numpy as np
import pytest

from lm.errors import ConfigurationError, InputError
from lm.tokenizer import SPECIAL_TOKENS, train_bpe
from lm.tokenizer.patterns import PATTERNS
from lm.tokenizer.training.count import PreTokenCounts

TEXT = "low low low low low lower lower widest widest widest newest newest newest newest newest newest"


def test_the_first_merges_of_a_known_text():
    merges = train_bpe([TEXT], 256 + 6, [], "gpt2").merges
    assert merges[:6] == [(b"s", b"t"), (b"e", b"st"), (b"o", b"w"), (b"l", b"ow"), (b"w", b"est"), (b"n", b"e")]


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_merges_equal_the_definition(pattern, sentences):
    pytest.importorskip("regex")
    from lm.tokenizer import reference

    documents = [*sentences[:40], TEXT, "aaaaaaa aaaa aaaaaaaa", "Straße 中文 中文字 é"]
    assert train_bpe(documents, 256 + 80, [], pattern).merges == reference.train(documents, 80, pattern)


def test_merges_equal_the_definition_where_pairs_overlap_and_tie():
    pytest.importorskip("regex")
    from lm.tokenizer import reference

    draw = random.Random(5)
    for _ in range(60):
        documents = ["".join(draw.choices("ab ", k=draw.randint(1, 40))) for _ in range(draw.randint(1, 6))]
        assert train_bpe(documents, 256 + 40, []).merges == reference.train(documents, 40, "gpt2"), documents


def test_no_two_merges_make_the_same_token():
    draw = random.Random(6)
    documents = ["".join(draw.choices("abc ", k=400)) for _ in range(20)]
    merges = train_bpe(documents, 2_000, []).merges
    assert len({left + right for left, right in merges}) == len(merges) > 300


def test_the_number_of_threads_and_the_order_of_documents_change_nothing(sentences):
    documents = sentences * 40  # more than one group of texts
    one = train_bpe(documents, 400, SPECIAL_TOKENS, num_threads=1)
    assert train_bpe(iter(documents), 400, SPECIAL_TOKENS, num_threads=3).digest == one.digest
    assert train_bpe(reversed(documents), 400, SPECIAL_TOKENS, num_threads=2).digest == one.digest


def test_a_file_is_one_document_however_large(tmp_path):
    text = "".join(f"{i} line\r\n\n  of   text é 中文\n" for i in range(9_000))
    path = tmp_path / "a.txt"
    path.write_bytes(text.encode())
    assert train_bpe([path], 330, []).merges == train_bpe([text], 330, []).merges


def test_special_tokens_are_hard_boundaries_and_not_learned(tmp_path):
    text = "ab<|end|>ab<|end|>" * 10_000
    path = tmp_path / "a.txt"
    path.write_text(text)
    for source in (text, path):
        assert train_bpe([source], 300, ["<|end|>"]).merges == [(b"a", b"b")]


def test_a_text_with_few_pairs_gives_a_smaller_vocabulary():
    tokenizer = train_bpe(["aa"], 1_000, SPECIAL_TOKENS)
    assert tokenizer.vocab_size == 256 + 1 + len(SPECIAL_TOKENS)


def test_counts_are_true_when_the_table_grows():
    numbers = random.Random(7).choices(range(30_000), k=60_000)
    strings = [b"%d" % number for number in numbers]
    counts = PreTokenCounts()
    counts.add(np.frombuffer(b"".join(strings), np.uint8), 0, np.cumsum([len(string) for string in strings]))
    twice = PreTokenCounts()
    twice.add_all(counts)
    twice.add_all(counts)
    found = {
        counts.bytes[start:end].tobytes(): int(count)
        for start, end, count in zip(counts.borders[:-1], counts.borders[1:], counts.counts, strict=True)
    }
    assert found == Counter(strings)
    assert twice.counts.tolist() == [2 * count for count in counts.counts.tolist()]


def merges_of_hugging_face(texts, vocab_size):
    tokenizers = pytest.importorskip("tokenizers")
    from lm.tokenizer.gpt2_files import from_printable

    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=vocab_size, initial_alphabet=alphabet, show_progress=False)
    model.train_from_iterator(texts, trainer)
    merges = json.loads(model.to_str())["model"]["merges"]
    return [tuple(map(from_printable, m.split(" ") if isinstance(m, str) else m)) for m in merges]


def test_merges_equal_those_of_hugging_face(sentences):
    assert train_bpe(sentences, 600, [], ties="huggingface").merges == merges_of_hugging_face(sentences, 600)


@pytest.mark.slow
def test_merges_equal_those_of_hugging_face_on_real_text(shared_data):
    """With 32,000 ids, hence with fewer: a smaller training makes the first of the same merges."""
    texts = all_real_text(shared_data)
    assert sum(len(text.encode()) for text in texts) >= 20_000_000
    assert train_bpe(texts, 32_000, [], ties="huggingface").merges == merges_of_hugging_face(texts, 32_000)


def all_real_text(shared_data):
    """Prose, encyclopaedia, sentences in 75 languages, word problems, news."""
    with gzip.open(shared_data("prose/public_domain.jsonl.gz"), "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    with gzip.open(shared_data("prose/wikitext2_valid.txt.gz"), "rt") as stream:
        texts.append(stream.read())
    with gzip.open(shared_data("language/sentences.tsv.gz"), "rt") as lines:
        texts += [line.split("\t", 1)[1] for line in lines]
    files = [
        "gsm8k/train.jsonl",
        "gsm8k/test.jsonl",
        "duplicates/articles_1000.train",
        "duplicates/articles_2500.train",
    ]
    return texts + [line for name in files for line in shared_data(name).read_text().splitlines()]


def test_each_mistake_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="vocab_size: 260, expected at least 261"):
        train_bpe([TEXT], 260, SPECIAL_TOKENS)
    with pytest.raises(ConfigurationError, match="special_tokens: one is repeated"):
        train_bpe([TEXT], 300, ["<a>", "<a>"])
    with pytest.raises(ConfigurationError, match="unknown key 'gpt3'; did you mean 'gpt2'"):
        train_bpe([TEXT], 300, [], "gpt3")
    with pytest.raises(ConfigurationError, match="ties: 'random', expected greater or huggingface"):
        train_bpe([TEXT], 300, [], ties="random")
    for documents in ([], ["", ""]):
        with pytest.raises(InputError, match="no text"):
            train_bpe(documents, 300, [])
    with pytest.raises(InputError, match=r"lone surrogate U\+D800"):
        train_bpe(["a\ud800b"], 300, [])
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc" * 400_000 + b" \xff\xfe")
    with pytest.raises(InputError, match=r"a\.txt: not UTF-8 at byte 1200001"):
        train_bpe([path], 270, [])


def test_pruning_bounds_the_distinct_pre_tokens_and_tells_what_it_lost():
    draw = random.Random(8)
    rare = [f"{draw.getrandbits(64):x}" for _ in range(5_000)]
    documents = [f"{TEXT} {' '.join(rare[i : i + 50])}" for i in range(0, 5_000, 50)] * 2
    told, plain = [], []
    limited = [train_bpe(documents, 300, [], num_threads=n, max_pre_tokens=2_000, report=told.append) for n in (1, 3)]
    train_bpe(documents, 300, [], report=plain.append)
    assert told[0] == told[1] and limited[0].digest == limited[1].digest
    assert plain[0]["pruned_strings"] == plain[0]["pruned_pre_tokens"] == 0
    assert told[0]["distinct_pre_tokens"] <= 2_000 < plain[0]["distinct_pre_tokens"]
    assert told[0]["pre_tokens"] == plain[0]["pre_tokens"] and told[0]["text_bytes"] == plain[0]["text_bytes"]
    assert told[0]["pruned_pre_tokens"] >= told[0]["pruned_strings"] > 3_000
    assert (b"e", b"st") in limited[0].merges and (b"w", b"est") in limited[0].merges


def test_pruning_drops_the_rarest_and_keeps_what_came_first():
    counts = PreTokenCounts()
    strings = [b"a", b"bb", b"c", b"dd", b"a", b"dd", b"dd"]
    counts.add(np.frombuffer(b"".join(strings), np.uint8), 0, np.cumsum([len(string) for string in strings]))
    fewer = counts.most_frequent(3)
    assert fewer.bytes.tobytes() == b"abbdd" and fewer.counts.tolist() == [2, 1, 3]


def test_room_grows_in_the_middle_of_learning():
    """Many more pairs than bytes make at first, in more merges than one call learns."""
    pytest.importorskip("regex")
    from lm.tokenizer import reference

    draw = random.Random(9)
    documents = ["".join(draw.choices("abcdefghij ", k=600)) for _ in range(12)]
    assert train_bpe(documents, 256 + 700, []).merges == reference.train(documents, 700, "gpt2")


@pytest.mark.parametrize("pattern", sorted(PATTERNS))
def test_a_file_is_counted_as_the_whole_text(pattern, tmp_path, monkeypatch):
    """White space and contractions at every place where a block may end."""
    monkeypatch.setattr("lm.tokenizer.training.train._READ_BYTES", 7)
    monkeypatch.setattr("lm.tokenizer.stream._BLOCK_CHARACTERS", 5)
    draw, path = random.Random(pattern), tmp_path / "a.txt"
    for _ in range(40):
        text = "".join(
            draw.choices([" ", "\n", "\r\n", "\t", "a", "AʰB", "'ll", "12", "!", "\u3000", "<|end|>"], k=150)
        )
        path.write_bytes(text.encode())
        told = []
        by_path = train_bpe(path, 290, ["<|end|>"], pattern, report=told.append)
        assert by_path.merges == train_bpe([text], 290, ["<|end|>"], pattern, report=told.append).merges
        assert told[0] == told[1]


def test_one_path_is_a_file_and_one_string_is_refused(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(TEXT)
    assert train_bpe(path, 262, []).merges == train_bpe([TEXT], 262, []).merges
    with pytest.raises(ConfigurationError, match="one string, expected a list"):
        train_bpe(TEXT, 262, [])
    with pytest.raises(ConfigurationError, match="max_pre_tokens: 1, expected at least 2"):
        train_bpe([TEXT], 262, [], max_pre_tokens=1)
