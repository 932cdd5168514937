"""Derivation of the stop words and mean word length of each language, for `pipelines.filters.stop_words`.

The input is `language/sentences.tsv.gz` below `LOAM_SHARED_DATA`, some 800 sentences in each of 75 languages. As in
FineWeb-2 (Penedo et al. 2025, arXiv:2506.20920, section 3), a stop word is one that makes at least .8% of all words.
Where these are too few, the next most frequent words join them, until 99% of the texts of 50 words have two distinct
ones; half of the sentences give the words, the other half the texts. A language in which 40 words do not reach 97% gets
no list. Words with a digit are left out. `--write` rewrites the module.
"""

from __future__ import annotations

import gzip
import textwrap
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.report import Row, finish, parser
from benchmarks.shared_data import REPOSITORY, shared_data
from lm.errors import run_command
from pipelines.filters.language_rules import UNSPACED, lower_words

SENTENCES = Path("language") / "sentences.tsv.gz"
TARGET = REPOSITORY / "pipelines" / "filters" / "stop_words.py"
_CODES = {"nb": "no"}  # as `pipelines.filters.language` names it
_LEAST_SHARE = 0.008
_FEWEST, _MOST = 8, 40
_WANTED_PASSING, _LEAST_PASSING = 0.99, 0.97
_TEXT_WORDS = 50
_HEAD = '''"""Stop words and mean word lengths by language: written by `python -m benchmarks.stop_words --write`.

`STOP_WORDS` are the most frequent words, the most frequent first; `MEAN_WORD_LENGTH` is in characters. Languages that
do not put spaces between words are left out, and those in which few words are frequent have no stop words.
"""

from __future__ import annotations

from collections.abc import Mapping

# fmt: off
'''


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    options = parser("stop_words", (__doc__ or "").strip())
    options.add_argument("--write", action="store_true", help=f"rewrite {TARGET.name}")
    arguments = options.parse_args(argv)
    there = (shared_data() / SENTENCES).is_file()
    texts = read_sentences(shared_data() / SENTENCES) if there else {}
    words = {language: stop_words(sentences) for language, sentences in texts.items()}
    lengths = {language: mean_word_length(sentences) for language, sentences in texts.items()}
    if arguments.write and there:
        TARGET.write_text(module(words, lengths), "utf-8")
    return finish("stop_words", _rows(texts, words), arguments)


def read_sentences(path: Path) -> dict[str, list[list[str]]]:
    """Return the sentences of each language with spaces between words, as lower-case words."""
    found: dict[str, list[list[str]]] = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            code, sentence = line.rstrip("\n").split("\t", 1)
            found[_CODES.get(code, code)].append(lower_words(sentence))
    return {code: found[code] for code in sorted(found) if code not in UNSPACED}


def stop_words(sentences: Sequence[Sequence[str]]) -> list[str]:
    """Return the stop words of a language, most frequent first; none if too few texts contain two."""
    counts = Counter(word for sentence in sentences[::2] for word in sentence)
    total = counts.total()
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    ranked = [word for word in ranked if not any(map(str.isdigit, word))][:_MOST]
    number = max(_FEWEST, sum(counts[word] >= _LEAST_SHARE * total for word in ranked))
    while number < len(ranked) and passing(ranked[:number], sentences) < _WANTED_PASSING:
        number += 1
    return ranked[:number] if passing(ranked[:number], sentences) >= _LEAST_PASSING else []


def passing(words: Sequence[str], sentences: Sequence[Sequence[str]]) -> float:
    """Return the share of the held-out texts of 50 words with two distinct `words`."""
    running = [word for sentence in sentences[1::2] for word in sentence]
    texts = [running[start : start + _TEXT_WORDS] for start in range(0, len(running) - _TEXT_WORDS, _TEXT_WORDS)]
    return sum(len(set(words).intersection(text)) >= 2 for text in texts) / max(1, len(texts))


def mean_word_length(sentences: Sequence[Sequence[str]]) -> float:
    """Return the mean characters per word."""
    words = [word for sentence in sentences for word in sentence]
    return round(sum(map(len, words)) / len(words), 2)


def module(words: Mapping[str, Sequence[str]], lengths: Mapping[str, float]) -> str:
    """Return the source of the module."""
    lines = [_HEAD.rstrip("\n"), "STOP_WORDS: Mapping[str, str] = {"]
    for language, each in words.items():
        if each:
            parts = textwrap.wrap(" ".join(each), 100)
            lines += [f'    "{language}":', *(f'        "{part} "' for part in parts[:-1]), f'        "{parts[-1]}",']
    lines += ["}", "", "MEAN_WORD_LENGTH: Mapping[str, float] = {"]
    lines += [f'    "{language}": {length},' for language, length in lengths.items()]
    return "\n".join([*lines, "}", ""])


def _rows(texts: Mapping[str, Sequence[Sequence[str]]], words: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    yield Row(name="languages with stop words", value=float(sum(map(bool, words.values()))), unit=f"of {len(words)}")
    for language, each in words.items():
        share = passing(each, texts[language]) if each else None
        yield Row(name=f"{language}: texts with two of {len(each)}", value=share, unit="of texts")


if __name__ == "__main__":
    run_command(main)
