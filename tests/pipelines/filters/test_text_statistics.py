"""The walk over a text against a plain reference."""

import random
import re

import pyarrow as pa

from pipelines.filters.text_statistics import measure, measure_all


def test_measures_words_lines_and_marks():
    counts = measure("Hello, the (World)! 12 --\n- and... that\n\n  Hello \n#tag … e.g.").counts
    assert counts["num_tokens"] == 12
    assert counts["num_words"] == 9  # "--", "-" and "…" are symbols
    assert counts["word_characters"] == sum(
        map(len, ["Hello", "the", "World", "12", "and", "that", "Hello", "tag", "e.g"])
    )
    assert counts["stop_words"] == 3
    assert (counts["hashes"], counts["ellipses"]) == (1, 2)
    assert (counts["newlines"], counts["num_lines"]) == (4, 4)
    assert (counts["bullet_lines"], counts["ended_lines"], counts["short_lines"]) == (1, 1, 4)


def test_words_agree_with_a_plain_reference_on_random_text():
    chooser = random.Random(1)
    text = "".join(chooser.choices("aé中9.,-#…\" '\n\t\u00a0()Zтhe", k=20_000))
    tokens = text.split()
    cores = []
    for token in tokens:
        solid = [i for i, c in enumerate(token) if c.isalpha() or c.isdigit()]
        if solid:
            cores.append(token[solid[0] : solid[-1] + 1])
    stripped = [line.strip() for line in text.split("\n") if line.strip()]
    statistics = measure(text)
    assert statistics.counts["num_tokens"] == len(tokens)
    assert statistics.words[1].tolist() == [len(core) for core in cores]
    assert len(set(statistics.words[0].tolist())) == len(set(cores))
    assert statistics.counts["letter_tokens"] == sum(any(map(str.isalpha, token)) for token in tokens)
    assert statistics.lines[1].tolist() == [len(line) for line in stripped]
    assert len(set(statistics.lines[0].tolist())) == len(set(stripped))


def test_lines_agree_with_a_plain_reference_on_random_text():
    """Items, characters before an ellipsis, and words of running text, counted line by line."""
    chooser = random.Random(7)
    for _ in range(300):
        pieces = [chooser.choice(["word", "two  words", "•", "-", "...", "…", ".", '"', "  ", "\n", "\n\n", "1", "!"])
                  for _ in range(chooser.randrange(60))]  # fmt: skip
        text = " ".join(pieces) if chooser.random() < 0.5 else "".join(pieces)
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        ended = [line[-1] in '.!…"' for line in lines]
        counts, marked = measure(text).counts, list(zip(lines, ended, strict=True))
        assert counts["bullet_items"] == sum(line[0] in "•-" and not end for line, end in marked)
        assert counts["ellipsis_characters"] == sum(
            len(line) for line in lines if re.search(r"(?:[.]{3}|…[.]*)$", line)
        )
        assert counts["running_words"] == sum(
            len(line.split()) for line, end in marked if end or len(line.split()) >= 6
        )


def test_texts_of_a_batch_are_measured_as_each_alone():
    chooser = random.Random(3)
    texts = ["".join(chooser.choices("ab é日😀.…!-•\n\u2028", k=chooser.randrange(80))) for _ in range(300)]
    column = pa.array(["before", *texts, "behind"], pa.large_string()).slice(1, len(texts))
    assert len(measure_all([]).by_text()) == 0
    for text, found in zip(texts, measure_all(column).by_text(), strict=True):
        alone = measure(text)
        assert found.counts == alone.counts, text
        for name in ("words", "lines", "paragraphs"):
            assert [each.tolist() for each in getattr(found, name)] == [each.tolist() for each in getattr(alone, name)]


def test_half_a_surrogate_pair_is_a_character():
    assert measure("\ud800 x").counts["num_tokens"] == 2
