"""Speed and memory of tokenizer training, against Hugging Face tokenizers, rustbpe and gigatoken.

Rows for `python -m benchmarks.tokenizer`. Every trainer learns the same number of merges from the same documents with
GPT-2's pattern, in turns, in one process that has one core and no threads, so that its processor seconds are the work.
Hugging Face's merges must be Loam's with `ties="huggingface"`; gigatoken's agreement is reported, and the merges of
rustbpe, which breaks ties by id, are not compared. Targets are for texts of 20 MB and more.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np

from benchmarks.report import Row, timed
from lm.tokenizer import train_bpe
from lm.tokenizer.gpt2_files import from_printable
from lm.tokenizer.patterns import PATTERNS

VOCAB_SIZE = 32_000
MIB, MB = 2**20, 10**6
SMALL_BYTES, LARGE_BYTES = 100 * MB, 1000 * MB
MAX_PRE_TOKENS = 500_000
_SEPARATOR = "<|endoftext|>"
_MIN_MB = 20  # of less text the targets do not speak
_TARGETS = {"Hugging Face tokenizers": 5.0, "rustbpe": 2.0, "gigatoken": 1.0}

Merges = list[tuple[bytes, bytes]]


def training_rows(name: str, texts: Sequence[str], repeats: int = 2) -> list[Row]:
    """Return rows of training speed for `VOCAB_SIZE` ids on `texts` against each peer, and of equal merges."""
    with ProcessPoolExecutor(1, get_context("spawn"), _take_one_core) as pool:
        return pool.submit(_training_rows, name, texts, repeats).result()


def _take_one_core() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.environ["RAYON_NUM_THREADS"] = "1"


def _training_rows(name: str, texts: Sequence[str], repeats: int) -> list[Row]:
    train_bpe(texts[:100], 512, [], num_threads=1)  # compiled before the clock starts
    peers: dict[str, Callable[[], Merges]] = {
        "Hugging Face tokenizers": lambda: _hugging_face(texts),
        "rustbpe": lambda: _rustbpe(texts),
        "gigatoken": _gigatoken_of(texts),
    }
    ours: list[float] = []
    theirs: dict[str, list[float]] = {peer: [] for peer in peers}
    learned: dict[str, Merges] = {}
    for _ in range(repeats):
        ours.append(timed(lambda: train_bpe(texts, VOCAB_SIZE, [], num_threads=1), time.process_time))
        for peer, train in peers.items():
            start = time.process_time()
            learned[peer] = train()
            theirs[peer].append(time.process_time() - start)
    size_mb = sum(len(text.encode()) for text in texts) / MB
    rate = size_mb / statistics.median(ours)
    rows = [
        Row(
            name=f"{name}: train {VOCAB_SIZE:,}, one core",
            value=rate,
            unit="MB/s",
            peer=f"{peer}: {size_mb / statistics.median(seconds):.1f} MB/s",
            ratio=statistics.median(seconds) / statistics.median(ours),
            target=_TARGETS[peer] if size_mb >= _MIN_MB else None,
        )
        for peer, seconds in theirs.items()
    ]
    return rows + _equality_rows(name, texts, learned)


def memory_rows() -> list[Row]:
    """Return rows of the peak memory of training on 100 MB and on 1 GB of open-vocabulary text.

    The number of distinct pre-tokens is bounded; one row without the bound is for comparison.
    """
    small, large = (_peak_mib(size, MAX_PRE_TOKENS) for size in (SMALL_BYTES, LARGE_BYTES))
    free = _peak_mib(LARGE_BYTES, None)
    bounded = f"max_pre_tokens={MAX_PRE_TOKENS:,}"
    return [
        Row(name="train: peak memory, 1 GB of text", value=large, unit="MiB", target=1024, better="lower"),
        Row(
            name=f"train: the same, {bounded}",
            value=large,
            unit="MiB",
            peer="100 MB of text",
            ratio=large / small,
            target=1.5,
            better="lower",
        ),
        Row(name="train: peak memory, 1 GB, unbounded", value=free, unit="MiB", peer="bounded", ratio=free / large),
    ]


def _equality_rows(name: str, texts: Sequence[str], learned: dict[str, Merges]) -> list[Row]:
    merges = train_bpe(texts, VOCAB_SIZE, [], ties="huggingface", num_threads=1).merges
    rows = []
    for peer in ("Hugging Face tokenizers", "gigatoken"):
        # The peer that reserves an id for its separator learns one merge less.
        theirs = learned[peer]
        same = sum(a == b for a, b in zip(merges, theirs, strict=False))
        target = 1.0 if peer == "Hugging Face tokenizers" else None
        rows.append(Row(name=f"{name}: equal merges", value=same / len(theirs), unit="share", peer=peer, target=target))
    return rows


def _hugging_face(texts: Sequence[str]) -> Merges:
    import tokenizers

    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=VOCAB_SIZE, initial_alphabet=alphabet, show_progress=False)
    model.train_from_iterator(texts, trainer)
    return [
        (from_printable(left), from_printable(right)) for left, right in json.loads(model.to_str())["model"]["merges"]
    ]


def _rustbpe(texts: Sequence[str]) -> Merges:
    import rustbpe

    rustbpe.Tokenizer().train_from_iterator(iter(texts), VOCAB_SIZE, pattern=PATTERNS["gpt2"])
    return []


def _gigatoken_of(texts: Sequence[str]) -> Callable[[], Merges]:
    """Return gigatoken's training function; the documents are joined to one string before the clock starts."""
    joined, separator = _SEPARATOR.join(texts).encode(), _SEPARATOR.encode()

    def train() -> Merges:
        import gigatoken

        _, merges = gigatoken.train_bpe(joined, VOCAB_SIZE, [_SEPARATOR], separator=separator)
        return list(merges)

    return train


def _peak_mib(size_bytes: int, max_pre_tokens: int | None) -> float:
    """Return the peak resident set of a process that trains on this much text."""
    # Not ru_maxrss: a process that is forked from a large one begins with that one's.
    code = (
        "from benchmarks.open_text import open_text; from lm.tokenizer import train_bpe;"
        f"train_bpe(open_text({size_bytes}), {VOCAB_SIZE}, [], max_pre_tokens={max_pre_tokens});"
        "print(open('/proc/self/status').read())"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    found = re.search(r"VmHWM:\s+(\d+) kB", output)
    return int(found[1]) * 1024 / MIB if found else float(np.nan)
