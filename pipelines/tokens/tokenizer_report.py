"""Tokenizer report: the corpus's tokenizer compared with characters, bytes, words and other vocabulary sizes, and by
language.

Decisions:
- All learn from the same documents and are measured on others, drawn by a hash of the document's id.
- Smaller byte-pair tokenizers are the first merges of the largest, which training makes them anyway.
- Languages are those of the extracted pages, before any is removed, as `pipelines.filters.language` identifies them.
- Published files contain no times; `report` gets the times, for display.
"""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from lm import storage
from lm.configuration import Doc, Range, settle, to_mapping
from lm.errors import ConfigurationError, InputError
from lm.progress import track
from lm.storage import Artifact, Publication
from lm.tokenizer import SPECIAL_TOKENS, Tokenizer, train_bpe
from lm.tokenizer.baselines import TextTokenizer, baselines, compare, split
from lm.tokenizer.training.train import with_fewer_merges
from pipelines.documents.view import read_documents
from pipelines.filters.language import UNDETERMINED, identify_language

COMPARISON, PAGE = "comparison.json", "report.md"
SAMPLES = (
    "The river town of Thornofield was founded in 1356.",
    "7 + 5 = 12, so Anna has 12 apples.",
    "naïve café, Größe, ¿qué?",
    "👍 <|endoftext|>",
)
TRAINED = "the corpus's"
"""The name of the tokenizer that is reported on."""

Report = Callable[[Mapping[str, object]], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenizerReportConfig:
    """Settings of the report: vocabulary sizes and amounts of text.

    Raises:
        ConfigurationError: at construction, a value out of its range.
    """

    vocab_sizes: Annotated[tuple[int, ...], Doc("Sizes of byte-pair vocabularies to compare."), Range(1, 2**31)] = (
        512,
        1024,
        2048,
        4096,
        8192,
    )
    max_text_bytes: Annotated[
        int, Doc("Training text in UTF-8 bytes; a quarter of this size is measured."), Range(1)
    ] = 4_000_000
    max_texts_per_language: Annotated[int, Doc("Maximum number of pages measured per language."), Range(1)] = 30
    min_texts_per_language: Annotated[
        int, Doc("Minimum number of pages of a language; languages with fewer pages are excluded."), Range(1)
    ] = 3

    def __post_init__(self) -> None:
        settle(self, "tokenizer_report")
        least = 256 + len(SPECIAL_TOKENS) + 1
        if not self.vocab_sizes or min(self.vocab_sizes) < least:
            raise ConfigurationError(
                f"tokenizer_report.vocab_sizes: {self.vocab_sizes}, expected sizes from {least} on"
            )


def write_tokenizer_report(
    corpus: Artifact,
    tokenizer: Artifact,
    pages: Sequence[Artifact],
    target: Path,
    config: TokenizerReportConfig | None = None,
    report: Report = lambda event: None,
) -> Artifact:
    """Publish `comparison.json` and `report.md`: every tokenizer on the same texts of `corpus`, and on each language of
    the extracted `pages`. `report` gets the tokens per second of each.

    Raises:
        InputError: the corpus has too few documents, expected some for training and others for measurement.
    """
    config = config or TokenizerReportConfig()
    return storage.make(
        target,
        functools.partial(_write, corpus, tokenizer, pages, config, report),
        kind="tokenizer_report",
        config=to_mapping(config),
        inputs={
            "corpus": corpus.digest,
            "tokenizer": tokenizer.digest,
            **{f"pages {i:04d}": artifact.digest for i, artifact in enumerate(pages)},
        },
    )


def _write(
    corpus: Artifact,
    tokenizer: Artifact,
    pages: Sequence[Artifact],
    config: TokenizerReportConfig,
    report: Report,
    publication: Publication,
) -> None:
    learned, measured = _texts(corpus, config)
    contestants = _contestants(Tokenizer.load(tokenizer), learned, config)
    rows = [_row(name, each, measured, report) for name, each in track(contestants.items(), "compare tokenizers")]
    languages = [
        {"language": code, "texts": len(texts), **_by_tokenizer(contestants, texts)}
        for code, texts in sorted(_texts_by_language(pages, config).items())
    ]
    shown = [TRAINED, *list(contestants)[-3:]]
    splits = [{"text": text, **{name: split(contestants[name], text) for name in shown}} for text in SAMPLES]
    content = {"tokenizers": rows, "languages": languages, "splits": splits}
    storage.write_json(publication.path / COMPARISON, content)
    (publication.path / PAGE).write_text(render(content), encoding="utf-8")
    own = rows[0]
    publication.summary.update(
        vocab_size=own["vocab_size"],
        bytes_per_token=own["bytes_per_token"],
        fertility=own["fertility"],
        num_tokenizers=len(rows),
        num_languages=len(languages),
    )


def _texts(corpus: Artifact, config: TokenizerReportConfig) -> tuple[list[str], list[str]]:
    """Return texts to learn from and others to measure: four fifths and a fifth of the documents, up to the size asked
    for.
    """
    roles: tuple[list[str], list[str]] = ([], [])
    room = [config.max_text_bytes, config.max_text_bytes // 4]
    for batch in read_documents(corpus, ["doc_id", "text"]):
        for doc_id, text in zip(batch.column("doc_id").to_pylist(), batch.column("text").to_pylist(), strict=True):
            role = int(hashlib.blake2b(f"report:{doc_id}".encode(), digest_size=2).digest()[0] < 256 // 5)
            if room[role] > 0 and text.strip():
                roles[role].append(text)
                room[role] -= len(text.encode())
        if max(room) <= 0:
            break
    if not all(roles):
        raise InputError(f"{corpus.path}: too few documents, expected some for training and others for measurement")
    return roles


def _contestants(trained: Tokenizer, learned: Sequence[str], config: TokenizerReportConfig) -> dict[str, TextTokenizer]:
    """Return tokenizers by name: the corpus's own, byte pairs by size, then characters, bytes and words."""
    largest = train_bpe(learned, max(config.vocab_sizes), SPECIAL_TOKENS, trained.pattern)
    sizes = {f"bpe {size:,}": with_fewer_merges(largest, size) for size in sorted(set(config.vocab_sizes))}
    return {TRAINED: trained, **sizes, **baselines(learned, trained.vocab_size)}


def _row(name: str, tokenizer: TextTokenizer, texts: Sequence[str], report: Report) -> dict[str, Any]:
    compare(tokenizer, texts[:1])  # what the first call loads and compiles is not part of its speed
    facts = asdict(compare(tokenizer, texts))
    report({"tokenizer": name, "tokens_per_s": round(facts.pop("tokens_per_s"))})
    survive = sum(tokenizer.decode(tokenizer.encode(text)) == text for text in texts)
    return {"tokenizer": name, **facts, "texts_that_come_back": survive / len(texts)}


def _by_tokenizer(contestants: Mapping[str, TextTokenizer], texts: Sequence[str]) -> dict[str, dict[str, float]]:
    found = {name: compare(tokenizer, texts) for name, tokenizer in contestants.items()}
    return {
        "fertility": {name: each.fertility for name, each in found.items()},
        "bytes_per_token": {name: each.bytes_per_token for name, each in found.items()},
        "unknown_share": {name: each.unknown_share for name, each in found.items()},
    }


def _texts_by_language(pages: Sequence[Artifact], config: TokenizerReportConfig) -> dict[str, list[str]]:
    """Return the first pages of each language."""
    found: dict[str, list[str]] = defaultdict(list)
    for text in _page_texts(pages):
        code, _ = identify_language(text)
        if code != UNDETERMINED and len(found[code]) < config.max_texts_per_language:
            found[code].append(text)
    return {code: texts for code, texts in found.items() if len(texts) >= config.min_texts_per_language}


def _page_texts(pages: Sequence[Artifact]) -> Iterator[str]:
    for artifact in pages:
        for batch in read_documents(artifact, ["text"]):
            yield from (text for text in batch.column("text").to_pylist() if text.strip())


def render(content: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    lines = [
        "# Tokenizer",
        "",
        "| tokenizer | ids | bytes per token | tokens per word | unknown | lossless texts |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row['tokenizer']} | {row['vocab_size']:,} | {row['bytes_per_token']:.2f} | {row['fertility']:.2f} "
        f"| {row['unknown_share']:.2%} | {row['texts_that_come_back']:.1%} |"
        for row in content["tokenizers"]
    ]
    if content["languages"]:
        names = list(content["languages"][0]["fertility"])
        lines += ["", "## Tokens per word by language", "", f"| language | texts | {' | '.join(names)} |"]
        lines.append("|---|--:|" + "--:|" * len(names))
        for row in content["languages"]:
            figures = " | ".join(f"{row['fertility'][name]:.2f}" for name in names)
            lines.append(f"| {row['language']} | {row['texts']} | {figures} |")
    lines += ["", "## Splits", ""]
    for row in content["splits"]:
        lines += [f"- `{row['text']}`"]
        lines += [f"  - {name}: {' '.join(f'`{piece}`' for piece in row[name])}" for name in row if name != "text"]
    return "\n".join(lines) + "\n"
