"""Small token shards for tests, and a run in a process that can be killed."""

import multiprocessing
import os
import signal
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lm.configuration import from_mapping
from lm.errors import run_command
from lm.shards import ShardWriter
from lm.storage import Artifact, publish
from lm.training import PretrainConfig
from lm.training.__main__ import main

END_OF_TEXT = 63
SETTINGS = {
    "preset": "test",
    "num_steps": 12,
    "batch_size": 4,
    "optimizer": "adamw",
    "learning_rate": 3e-3,
    "final_lr_fraction": 0.1,
    "warmup_steps": 2,
    "evaluation_interval": 5,
    "evaluation_tokens": 100,
    "checkpoint_interval": 1,
    "device": "cpu",
    "num_threads": 1,
}


def config_of(**changes) -> PretrainConfig:
    """The small run of `SETTINGS` with some fields changed."""
    return from_mapping(PretrainConfig, {**SETTINGS, **changes})


def stop_at(event: Mapping[str, object], step: int) -> None:
    """A report that sends this process SIGTERM after a step."""
    if event.get("step") == step:
        os.kill(os.getpid(), signal.SIGTERM)


def make_shards(target: Path, *, num_documents: int = 12, seed: int = 0, digest: str = "tokenizer-1") -> Artifact:
    """Documents of an order-1 Markov chain over 63 ids in several small shards, with a validation split."""
    random = np.random.default_rng(seed)
    follows = random.integers(0, END_OF_TEXT, (END_OF_TEXT, 4))
    with publish(target, kind="token_shards", config={"seed": seed}, inputs={}, code="test") as publication:
        sizes = {}
        for split, count in (("train", num_documents), ("validation", 3)):
            writer = ShardWriter(
                publication.path,
                tokenizer_digest=digest,
                vocab_size=END_OF_TEXT + 1,
                end_of_text_id=END_OF_TEXT,
                prefix=split,
                max_tokens_per_shard=300,
            )
            with writer:
                for index in range(count):
                    writer.write(f"{split}-{index}", "markov", _walk(follows, random, int(random.integers(20, 120))))
            sizes[split] = writer.num_tokens - writer.num_documents
        publication.summary["text_bytes"] = sizes
    return publication.artifact


def _walk(follows, random, length):
    ids = [int(random.integers(0, END_OF_TEXT))]
    while len(ids) < length:
        ids.append(int(follows[ids[-1], random.integers(0, follows.shape[1])]))
    return np.array(ids)


def arguments(shards: Path, output: Path, **changes) -> list[str]:
    """The command line of a run with `SETTINGS` and `changes`."""
    settings = {**SETTINGS, **changes}
    pairs = [item for name, value in settings.items() for item in ("--set", f"{name}={value}")]
    return ["--data", str(shards), "--out", str(output), *pairs]


def start_run(shards: Path, output: Path, **changes) -> multiprocessing.Process:
    """`python -m lm.training` in a process forked from a server that has torch loaded: it starts in milliseconds."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lm.training.pretrain", "tests.lm.training.corpora"])
    process = context.Process(target=run_command, args=(main, arguments(shards, output, **changes)))
    process.start()
    return process
