"""Benchmark rows of encoding, decoding, pre-tokenization and startup.

Rows of one core, compilation and startup are measured in processor seconds, which other work on the machine disturbs
less; rows of two cores in seconds of the clock. Every pass is a first pass: a tokenizer that has encoded nothing yet.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.report import Row, timed
from benchmarks.tokenizer_peers import GIGATOKEN, HUGGINGFACE, TIKTOKEN, Peer, tiktoken_encoding
from benchmarks.tokenizer_texts import Corpus
from lm.errors import LoamError
from lm.progress import track
from lm.tokenizer import Tokenizer, warm
from lm.tokenizer.patterns import PATTERNS
from lm.tokenizer.pretokenizing.pretokenize import pattern_code, scan
from lm.tokenizer.pretokenizing.unicode_tables import kinds

ONE_CORE_TARGETS = {TIKTOKEN: 6.0, HUGGINGFACE: 30.0, GIGATOKEN: 1.0}
MIN_PRE_TOKENIZE_MB_PER_S = 300
MAX_STARTUP_S = 1.5
_MB = 1e6
_REPEATS = 5
_WITHOUT_AWKWARD = "import sys; sys.modules['awkward'] = None"
_STARTUP = """
import sys
from lm.tokenizer import Tokenizer
tokenizer = Tokenizer.load(sys.argv[1])
tokenizer.encode("The first words of a fresh process.")
"""


def encoding_rows(corpus: Corpus, tokenizer: Tokenizer) -> Iterator[Row]:
    """Yield all rows of one corpus."""
    warm.warm()
    check_equal(corpus, tokenizer)
    yield from _one_core(corpus, tokenizer)
    yield from _two_cores(corpus, tokenizer)
    yield from _lists_and_text(corpus, tokenizer)
    yield from _pre_tokenization(corpus)


def check_equal(corpus: Corpus, tokenizer: Tokenizer) -> None:
    """Check that the installed peers give Loam's ids; otherwise the figures would be meaningless.

    Raises:
        LoamError: the ids differ.
    """
    ours = np.concatenate(tokenizer.encode_batch(corpus.texts))
    flat: Mapping[Peer, Callable[[Any], Any]] = {
        TIKTOKEN: np.concatenate,
        GIGATOKEN: lambda ids: np.asarray(ids.layout.content.data),
        HUGGINGFACE: lambda found: np.concatenate([encoding.ids for encoding in found]),
    }
    for peer, flatten in flat.items():
        if peer.installed and not np.array_equal(
            flatten(peer.encode(peer.build(tokenizer), corpus.texts)).astype(np.uint32), ours
        ):
            raise LoamError(f"{corpus.name}: the ids of {peer.label} differ from ours")


def _one_core(corpus: Corpus, tokenizer: Tokenizer) -> Iterator[Row]:
    passes: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
        "ours": (lambda: fresh(tokenizer), lambda made: made.encode_batch(corpus.texts)),
        "arrow": (lambda: fresh(tokenizer), lambda made: made.encode_documents(corpus.arrow)),
    }
    peers = [peer for peer in ONE_CORE_TARGETS if peer.installed]
    for peer in peers:
        passes[peer.package] = (_builder(peer, tokenizer), _runner(peer, corpus.texts))
    seconds = alternate(passes, time.process_time, f"{corpus.name}: encode")
    speed = {name: corpus.size_bytes / _MB / taken for name, taken in seconds.items()}
    for peer in peers:
        yield Row(
            name=f"{corpus.name}: encode to arrays, one core",
            value=speed["ours"],
            unit="MB/s",
            peer=f"{peer.label}: {speed[peer.package]:.1f} MB/s",
            ratio=speed["ours"] / speed[peer.package],
            target=ONE_CORE_TARGETS[peer],
        )
    yield Row(name=f"{corpus.name}: encode an Arrow array, one core", value=speed["arrow"], unit="MB/s")


def _two_cores(corpus: Corpus, tokenizer: Tokenizer) -> Iterator[Row]:
    name = f"{corpus.name}: encode to arrays, two cores"
    if (os.cpu_count() or 1) < 2:
        yield Row(name=name, value=None, unit="MB/s", target=10)
        return
    seconds = alternate(
        {
            "ours": (lambda: fresh(tokenizer), lambda made: made.encode_batch(corpus.texts, num_threads=2)),
            **_if_installed(tokenizer, lambda made: made.encode_ordinary_batch(corpus.texts, num_threads=2)),
        },
        time.perf_counter,
        name,
    )
    yield _against_tiktoken(name, corpus.size_bytes, seconds, 10)


def _lists_and_text(corpus: Corpus, tokenizer: Tokenizer) -> Iterator[Row]:
    name = f"{corpus.name}: encode to Python lists"
    seconds = alternate(
        {
            "ours": (lambda: fresh(tokenizer), lambda made: [made.encode(text) for text in corpus.texts]),
            **_if_installed(tokenizer, lambda made: [made.encode_ordinary(text) for text in corpus.texts]),
        },
        time.process_time,
        name,
    )
    yield _against_tiktoken(name, corpus.size_bytes, seconds, 2.5)
    name = f"{corpus.name}: decode"
    ids = [array.tolist() for array in tokenizer.encode_batch(corpus.texts)]
    seconds = alternate(
        {
            "ours": (lambda: fresh(tokenizer), lambda made: [made.decode(document) for document in ids]),
            **_if_installed(tokenizer, lambda made: [made.decode(document) for document in ids]),
        },
        time.process_time,
        name,
    )
    yield _against_tiktoken(name, corpus.size_bytes, seconds, 2)


def _pre_tokenization(corpus: Corpus) -> Iterator[Row]:
    parts = [text.encode() for text in corpus.texts]
    data, boundaries = np.frombuffer(b"".join(parts), np.uint8), np.cumsum([0, *map(len, parts)])
    seconds = alternate(
        {name: (lambda: None, _scanner(data, boundaries, name)) for name in PATTERNS},
        time.process_time,
        f"{corpus.name}: pre-tokenize",
    )
    for name, taken in seconds.items():
        yield Row(
            name=f"{corpus.name}: pre-tokenize by {name}",
            value=corpus.size_bytes / _MB / taken,
            unit="MB/s",
            target=MIN_PRE_TOKENIZE_MB_PER_S,
        )


def startup_rows(tokenizer: Tokenizer) -> Iterator[Row]:
    """Yield rows of startup time: compilation once, building a tokenizer, the first encode of a fresh process.

    gigatoken brings the package awkward, an extension that numba loads wherever it is installed. Loam does not have it,
    so the fresh process runs without awkward; the next row has the cost of awkward.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lm.tokenizer.warm"]
        environment = {**os.environ, "NUMBA_CACHE_DIR": folder}
        compilation_s = timed(lambda: subprocess.run(command, env=environment, check=True), _children_s)
        yield Row(name="compile, once on a machine", value=compilation_s, unit="s", better="lower")
        tokenizer.save(folder)
        for code, name, target in (
            (_WITHOUT_AWKWARD + _STARTUP, "import and first encode, fresh process", MAX_STARTUP_S),
            (_STARTUP, "the same where a peer's numba extension is installed", None),
        ):
            command = [sys.executable, "-W", "ignore", "-c", code, folder]
            runs = [timed(partial(subprocess.run, command, check=True), _children_s) for _ in track(range(5), name)]
            yield Row(name=name, value=statistics.median(runs), unit="s", target=target, better="lower")
    built = statistics.median(timed(lambda: fresh(tokenizer), time.process_time) for _ in range(_REPEATS))
    yield Row(name=f"build a tokenizer of {tokenizer.vocab_size:,} tokens", value=built, unit="s", better="lower")


def _children_s() -> float:
    """Return the CPU seconds of the ended children."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def alternate(
    passes: Mapping[str, tuple[Callable[[], Any], Callable[[Any], Any]]],
    clock: Callable[[], float],
    description: str,
) -> dict[str, float]:
    """Return the median seconds of each pass, in turns; the inputs of a pass are rebuilt outside its time.

    The first round does not count: it includes the allocation of memory.
    """
    taken: dict[str, list[float]] = {name: [] for name in passes}
    for _ in track(range(1 + _REPEATS), description):
        for name, (build, work) in passes.items():
            taken[name].append(timed(partial(work, build()), clock))
    return {name: statistics.median(seconds[1:]) for name, seconds in taken.items()}


def fresh(tokenizer: Tokenizer) -> Tokenizer:
    """Return the same tokenizer with built tables and an empty cache."""
    made = Tokenizer(tokenizer.vocab, tokenizer.merges, tokenizer.special_tokens, pattern=tokenizer.pattern)
    made.prepare()
    return made


def _against_tiktoken(name: str, size_bytes: int, seconds: Mapping[str, float], target: float) -> Row:
    theirs = seconds.get("tiktoken")
    return Row(
        name=name,
        value=size_bytes / _MB / seconds["ours"],
        unit="MB/s",
        peer=f"{TIKTOKEN.label}: {size_bytes / _MB / theirs:.1f} MB/s" if theirs else "",
        ratio=theirs / seconds["ours"] if theirs else None,
        target=target if theirs else None,
    )


def _if_installed(
    tokenizer: Tokenizer, work: Callable[[Any], Any]
) -> dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]]:
    return {"tiktoken": (lambda: tiktoken_encoding(tokenizer), work)} if TIKTOKEN.installed else {}


def _builder(peer: Peer, tokenizer: Tokenizer) -> Callable[[], Any]:
    return lambda: peer.build(tokenizer)


def _runner(peer: Peer, texts: Sequence[str]) -> Callable[[Any], Any]:
    return lambda made: peer.encode(made, texts)


def _scanner(data: Any, boundaries: Any, pattern: str) -> Callable[[Any], None]:
    code, table, ends = pattern_code(pattern), kinds(), np.empty(1 << 14, np.int64)

    def scan_all(_: Any) -> None:
        start = 0
        while start < data.size:
            start = int(ends[scan(data, boundaries, start, code, table, ends) - 1])

    return scan_all
