"""Training of a tokenizer: pre-tokens are counted, then merges are learned from the counts.

Documents are streamed; memory follows the number of distinct pre-tokens, or stays below a bound where one is set. The
result depends on the text alone: not on the number of threads nor, without that bound, on the order of the documents.
"""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lm.errors import ConfigurationError, InputError
from lm.progress import bar
from lm.tokenizer.patterns import check_pattern, special_splitter
from lm.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    from lm.tokenizer.training.count import Counted, PreTokenCounts

NUM_BYTES = 256
_MAX_THREADS = 16
_READ_BYTES = 1 << 20


def train_bpe(
    paths_or_documents: Iterable[str | Path],
    vocab_size: int,
    special_tokens: Sequence[str],
    pattern: str = "gpt2",
    *,
    ties: Literal["greater", "huggingface"] = "greater",
    num_threads: int | None = None,
    max_pre_tokens: int | None = None,
    report: Callable[[Mapping[str, object]], None] | None = None,
) -> Tokenizer:
    """Train a tokenizer of at most `vocab_size` ids: 256 bytes, then merges, then `special_tokens`.

    `paths_or_documents` yields documents as strings, or `Path`s of UTF-8 text files; one `Path` alone will do. Special
    tokens found in the text are hard boundaries and are not learned from. The most frequent pair is merged; of equals
    the lexicographically greater pair of byte strings, or, with `ties="huggingface"`, the one that the trainer of
    `tokenizers` takes. A text with fewer pairs gives a smaller vocabulary. `num_threads` (all processors, at most 16)
    count.

    `max_pre_tokens` bounds memory on text that never stops bringing new pre-tokens: whenever more distinct ones are
    counted, the rarest are dropped until half of that are left. `report` is called at the end with the counts of
    what was read, dropped and learned.

    Raises:
        ConfigurationError: `vocab_size` leaves no room for the bytes and the special tokens, or one of these is
            repeated; no pattern or rule for ties has that name; `max_pre_tokens` is less than 2; the documents are
            a lone string.
        InputError: a file is not UTF-8, or there is no text at all, or more than 2 GiB of distinct pre-tokens.
    """
    num_merges = _checked_num_merges(vocab_size, special_tokens)
    check_pattern(pattern)
    if max_pre_tokens is not None and max_pre_tokens < 2:
        raise ConfigurationError(f"tokenizer.max_pre_tokens: {max_pre_tokens}, expected at least 2")
    if ties not in ("greater", "huggingface"):
        raise ConfigurationError(f"tokenizer.ties: '{ties}', expected greater or huggingface")
    from lm.tokenizer.training.count import count_pre_tokens, group_texts

    parts = _parts(_documents(paths_or_documents), special_tokens, pattern)
    num_threads = num_threads or min(_MAX_THREADS, os.cpu_count() or 1)
    counted = count_pre_tokens(group_texts(parts), pattern, num_threads, max_pre_tokens)
    if not counted.counts.size:
        raise InputError("no text to learn a tokenizer from")
    merges = _learn(counted.counts, num_merges, ties)
    if report is not None:
        report(_facts(counted, merges))
    return _tokenizer_of(merges, special_tokens, pattern)


def with_fewer_merges(tokenizer: Tokenizer, vocab_size: int) -> Tokenizer:
    """Return the tokenizer of the first merges, the same as training to the smaller `vocab_size`.

    Raises:
        ConfigurationError: `vocab_size` leaves no room for the bytes and the special tokens.
    """
    num_merges = _checked_num_merges(vocab_size, tokenizer.special_tokens)
    return _tokenizer_of(tokenizer.merges[:num_merges], tokenizer.special_tokens, tokenizer.pattern)


def _tokenizer_of(merges: Sequence[tuple[bytes, bytes]], special_tokens: Sequence[str], pattern: str) -> Tokenizer:
    """Return a tokenizer with the ids in order: bytes, results of merges, special tokens."""
    vocab = {i: bytes([i]) for i in range(NUM_BYTES)}
    vocab.update((NUM_BYTES + i, left + right) for i, (left, right) in enumerate(merges))
    return Tokenizer(vocab, merges, special_tokens, pattern=pattern)


def _documents(paths_or_documents: Iterable[str | Path]) -> Iterable[str | Path]:
    """Return the documents; a lone string would be a list of its characters."""
    if isinstance(paths_or_documents, str):
        raise ConfigurationError(
            "paths_or_documents: one string, expected a list: [text] for a document, [Path(name)] for a file"
        )
    return [paths_or_documents] if isinstance(paths_or_documents, Path) else paths_or_documents


def _facts(counted: Counted, merges: Sequence[tuple[bytes, bytes]]) -> dict[str, object]:
    return {
        "text_bytes": counted.size_bytes,
        "pre_tokens": counted.num_pre_tokens,
        "distinct_pre_tokens": counted.counts.size,
        "pruned_strings": counted.pruned_strings,
        "pruned_pre_tokens": counted.pruned_pre_tokens,
        "merges": len(merges),
    }


def _checked_num_merges(vocab_size: int, special_tokens: Sequence[str]) -> int:
    if len(set(special_tokens)) != len(special_tokens):
        raise ConfigurationError(f"special_tokens: one is repeated in {', '.join(special_tokens)}")
    least = NUM_BYTES + len(special_tokens)
    if vocab_size < least:
        raise ConfigurationError(
            f"vocab_size: {vocab_size}, expected at least {least} ({NUM_BYTES} bytes and {len(special_tokens)} special "
            "tokens)"
        )
    return vocab_size - least


def _learn(
    counts: PreTokenCounts, num_merges: int, ties: Literal["greater", "huggingface"]
) -> list[tuple[bytes, bytes]]:
    from lm.tokenizer.training.learn import learn_merges

    tokens = [bytes([byte]) for byte in range(NUM_BYTES)]
    merges: list[tuple[bytes, bytes]] = []
    with bar("learn merges", total=num_merges, unit="merge") as progress:
        for portion in learn_merges(counts, num_merges, ties):
            for left, right in portion:
                merges.append((tokens[left], tokens[right]))
                tokens.append(tokens[left] + tokens[right])
            progress.update(len(portion))
    return merges


def _parts(items: Iterable[str | Path], special_tokens: Sequence[str], pattern: str) -> Iterator[str]:
    """Yield texts to count, without special tokens; a part of a file is some megabytes at most."""
    from lm.tokenizer.stream import final_parts

    splitter = special_splitter(frozenset(special_tokens)) if special_tokens else None
    for item in items:
        texts = [item] if isinstance(item, str) else final_parts(_read(item), pattern, special_tokens)
        for text in texts:
            yield from splitter.split(text)[::2] if splitter else (text,)


def _read(path: Path) -> Iterator[str]:
    """Yield the text of a file in blocks.

    Raises:
        InputError: a byte is not UTF-8; names its position.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    position = 0
    with path.open("rb") as stream:
        while block := stream.read(_READ_BYTES):
            yield _decode(decoder, block, path, position)
            position += len(block)
    yield _decode(decoder, b"", path, position)


def _decode(decoder: codecs.IncrementalDecoder, block: bytes, path: Path, position: int) -> str:
    pending = len(decoder.getstate()[0])
    try:
        return decoder.decode(block, final=not block)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {position - pending + error.start} ({error.reason})") from None
