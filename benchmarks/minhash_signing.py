"""MinHash signatures of 128 hashes, on one core, against datasketch and rensa.

The peers get their words by `text.lower().split()`, which is less than we normalise; datasketch its `update_batch` with
the same 32-bit scheme, rensa `update` document by document, which was faster than its calls for many documents at once.
Cutting shingles in Python is most of rensa's time. Processor seconds count, so a peer's threads would be its own.
"""

from __future__ import annotations

import gzip
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa

from benchmarks.open_text import open_text
from benchmarks.report import Row, timed
from benchmarks.shared_data import shared_data
from lm.progress import track
from pipelines.dedup.minhash import Signatures, shingle_sets, sign
from pipelines.dedup.minhash_config import MinHashConfig

NUM_HASHES, NGRAM, SEED = 128, 5, 1
_WORDS_PER_PAGE, _REPEATS = 500, 7


def pages() -> list[str]:
    """Return 4 MB of pages of 500 words: real prose if available, else words of an open vocabulary."""
    prose = shared_data() / "prose" / "public_domain.jsonl.gz"
    if prose.exists():
        with gzip.open(prose, "rt", encoding="utf-8") as stream:
            documents = [json.loads(line)["text"] for line in stream]
    else:
        documents = list(open_text(4_000_000))
    pages = []
    for document in documents:
        words = document.split(" ")
        pages += [" ".join(words[first : first + _WORDS_PER_PAGE]) for first in range(0, len(words), _WORDS_PER_PAGE)]
    return pages


def signing_rows() -> Iterator[Row]:
    """Yield texts and megabytes per second of one core, and the ratio to each peer."""
    texts = pages()
    few = texts[:: max(1, len(texts) // 200)]
    column, part = pa.array(texts, pa.large_string()), pa.array(few, pa.large_string())
    size, part_size = (sum(len(text.encode()) for text in each) for each in (texts, few))
    signing: Callable[[pa.Array], Signatures] = lambda each: sign(each, _CONFIG)  # noqa: E731
    signing(part)
    work: dict[str, Callable[[], object]] = {
        "loam": lambda: signing(part),
        "datasketch": lambda: _datasketch(few),
        "rensa": lambda: _rensa(few),
    }
    for peer in work.values():
        peer()
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for _ in track(range(_REPEATS), "signing", total=_REPEATS, unit="round"):
        for name, peer in work.items():
            seconds[name].append(timed(peer, time.process_time))
    whole = statistics.median(timed(lambda: signing(column), time.process_time) for _ in range(_REPEATS))
    shingles = statistics.median(timed(lambda: shingle_sets(column, NGRAM), time.process_time) for _ in range(3))
    yield Row(name="signing, 128 hashes, one core", value=size / whole / 1e6, unit="MB/s")
    yield Row(name="signing, pages of 500 words, one core", value=len(texts) / whole, unit="pages/s")
    for name, target in (("datasketch", 10), ("rensa", 3)):
        ratios = [theirs / ours for theirs, ours in zip(seconds[name], seconds["loam"], strict=True)]
        yield Row(
            name=f"{name} from the same text",
            value=part_size / statistics.median(seconds[name]) / 1e6,
            unit="MB/s",
            peer=f"ratio: loam over {name}",
            ratio=statistics.median(ratios),
            target=target,
        )
    yield Row(name="shingle sets for verification, one core", value=size / shingles / 1e6, unit="MB/s")


_CONFIG = MinHashConfig(num_hashes=NUM_HASHES, num_bands=16, ngram=NGRAM, seed=SEED)


def _shingles(text: str) -> list[str]:
    words = text.lower().split()
    return [" ".join(words[first : first + NGRAM]) for first in range(len(words) - NGRAM + 1)]


def _datasketch(texts: Sequence[str]) -> None:
    from datasketch import MinHash

    for text in texts:
        signature = MinHash(num_perm=NUM_HASHES, seed=SEED, scheme="affine32")
        signature.update_batch([shingle.encode() for shingle in _shingles(text)])


def _rensa(texts: Sequence[str]) -> None:
    from rensa import RMinHash

    for text in texts:
        signature = RMinHash(NUM_HASHES, SEED)
        signature.update(_shingles(text))
        signature.digest()
