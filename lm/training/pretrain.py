"""Pre-training from token shards to a published model: open, resume, loop, evaluate, publish.

    OUTPUT/         model.safetensors, model.json, metrics.jsonl, evaluation.json: the same bytes for the same inputs
    OUTPUT.work/    checkpoints/, tensorboard/, live.jsonl: what a run needs on its way

Launched again after an interruption or a crash, it goes on from the newest whole checkpoint. After the end the
checkpoints are deleted, except those that `keep_every` keeps and the last one of a wsd run's flat part, which move to
OUTPUT.work/kept.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm.code_version import code_digest
from lm.configuration import to_mapping
from lm.errors import ConfigurationError
from lm.evaluation.perplexity import text_bytes
from lm.locations import locate
from lm.parallel.collectives import num_ranks, rank_in
from lm.parallel.launch import explained, from_first, joined
from lm.storage import Artifact, Publication, find_whole, fingerprint, open_artifact, publish
from lm.training.checkpoint_writer import CheckpointWriter
from lm.training.config import PretrainConfig
from lm.training.metrics import Report, work_folder
from lm.training.precision import deterministic_kernels
from lm.training.run import Run
from lm.training.run_checkpoint import checkpoint_folders, is_of_run
from lm.training.stop import StopSignals

if TYPE_CHECKING:
    from lm.tokenizer import Tokenizer

_KIND = "pretrained_model"


def silent(event: Mapping[str, object]) -> None:
    """Drop a report."""


def pretrain(
    config: PretrainConfig,
    shards: Path,
    output: Path,
    report: Report = silent,
    tokenizer: Path | None = None,
    chat: Path | None = None,
) -> Artifact:
    """Train a model on the `train` split of `shards` and publish it at `output`; what is already whole is not made
    again. The shards' `tokenizer` is needed for samples of text, and for bits per byte of sources and on the way;
    shards of `chat` text (`lm.chat.shards`) where `decay_chat_share` is above 0.

    Under `torchrun` all ranks call this and train one model (`lm.parallel.launch`); rank 0 reports and publishes. Paths
    lie on a file system, or in a store, that all ranks share.

    Raises:
        Interrupted: SIGTERM or SIGINT; a checkpoint is written and the same call goes on from it.
        NonFiniteError: a loss or gradient is not finite, stopped before the update; or a weight after it, or a
            score. The last checkpoint stays.
        ConfigurationError: an impossible configuration, or a checkpoint of another run in the work folder.
        InputError: the shards lack a split or their `text_bytes`, or come from another tokenizer; or `init_from` holds
            no fitting model.
        ConflictError: another process trains the same output.
        NoSpaceError: the disk is full; the last whole checkpoint stays.
        RankLostError: another rank died, stopped or failed; run again to go on from the last whole checkpoint.
    """
    with joined(silence_s=config.rank_silence_s):
        config = dataclasses.replace(config, num_processes=num_ranks())
        if num_ranks() % config.tensor_parallel:
            raise ConfigurationError(f"tensor_parallel: {config.tensor_parallel}, expected a divisor of 1 rank")
        return _pretrain(config, shards, output, report if rank_in() == 0 else silent, tokenizer, chat)


def _pretrain(
    config: PretrainConfig, shards: Path, output: Path, report: Report, tokenizer: Path | None, chat: Path | None
) -> Artifact:
    """Train as one of the ranks, or alone."""
    vocabulary = None if tokenizer is None else _load_tokenizer(tokenizer)
    if config.sample_interval and vocabulary is None:
        raise ConfigurationError(f"sample_interval: {config.sample_interval}, expected 0 without a tokenizer")
    if config.decay_chat_share and chat is None:
        raise ConfigurationError(f"decay_chat_share: {config.decay_chat_share}, expected 0 without shards of chat text")
    source = open_artifact(shards)
    joining = open_artifact(chat) if chat is not None and config.decay_chat_share else None
    start = open_artifact(locate(config.init_from)) if config.init_from else None
    identity = _identity(config, {"token_shards": source, "tokenizer": vocabulary, "init_from": start, "chat": joining})
    done = find_whole(output, fingerprint(_KIND, **identity)) if rank_in() == 0 else None
    if from_first(done is not None):
        if done is not None:
            _clear_after_a_kill(config, identity, work_folder(output))
        return done or open_artifact(output)
    text_bytes(source, "validation")  # missing, it would be noticed only after the training
    with StopSignals() as signals, explained():
        with _publication(output, identity) as publication, deterministic_kernels(config.deterministic):
            run = Run(config, source, vocabulary, work_folder(output), identity, report, signals, joining)
            run.resume(start)
            run.train()
            run.write_result(publication)
        if publication is not None:
            run.writer.clear()
        from_first(None)  # the others return when the model is published
    return open_artifact(output) if publication is None else publication.artifact


def _publication(output: Path, identity: Mapping[str, Any]) -> AbstractContextManager[Publication | None]:
    """Return rank 0's publication; None for the other ranks."""
    if rank_in() != 0:
        return contextlib.nullcontext()
    return publish(output, kind=_KIND, **identity)


def _clear_after_a_kill(config: PretrainConfig, identity: Mapping[str, Any], work: Path) -> None:
    """Delete the checkpoints of this finished run where it was killed between its end and their deletion; those of a
    run with another configuration may be on their way.
    """
    folder = work / "checkpoints"
    found = checkpoint_folders(folder)
    if found and all(is_of_run(path, identity) for path in found):
        with contextlib.closing(CheckpointWriter(folder, identity, keep=1, is_kept=config.is_kept)) as writer:
            writer.clear()


def _load_tokenizer(path: Path) -> Tokenizer:
    from lm.tokenizer import Tokenizer  # it compiles: only for who needs it

    return Tokenizer.load(path)


def _identity(config: PretrainConfig, inputs: Mapping[str, Artifact | Tokenizer | None]) -> dict[str, Any]:
    start = inputs["init_from"]
    return {
        # Where the start lies is this machine's affair; what it holds is its digest.
        "config": {**to_mapping(config), "init_from": start.digest if start else ""},
        "inputs": {name: each.digest for name, each in inputs.items() if each is not None},
        "code": code_digest(pretrain),
    }
