"""Pre-training from token shards to a published model: open, resume, loop, evaluate, publish.

    OUTPUT/         model.safetensors, model.json, metrics.jsonl, evaluation.json: the same bytes for the same inputs
    OUTPUT.work/    checkpoints/, tensorboard/, live.jsonl: what a run needs on its way

Launched again after an interruption or a crash, it goes on from the newest whole checkpoint. After the end the
checkpoints are deleted.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lm.code_version import source_digest
from lm.configuration import to_mapping
from lm.errors import Interrupted
from lm.evaluation.perplexity import Score, evaluate_perplexity, score_tokens, text_bytes
from lm.locations import workspace
from lm.model import TransformerLM, choose_device, save_model
from lm.shards import TokenShards
from lm.storage import Artifact, Publication, find_whole, fingerprint, open_artifact, publish, write_json
from lm.token_stream import TokenStream
from lm.training.batches import BatchLoader, Loader, PrefetchedLoader
from lm.training.checkpoint import load_checkpoint, newest_checkpoint, refuse_other_run, save_checkpoint
from lm.training.config import PretrainConfig
from lm.training.metrics import LiveView, MetricsLog, Report
from lm.training.reading_order import make_reading_order
from lm.training.stop import StopSignals
from lm.training.trainer import Trainer

_KIND = "pretrained_model"


def silent(event: Mapping[str, object]) -> None:
    """A `report` that drops everything."""


def pretrain(config: PretrainConfig, shards: Path, output: Path, report: Report = silent) -> Artifact:
    """Train a model on the `train` split of `shards` and publish it at `output`; what is already whole is not made
    again.

    Raises:
        Interrupted: SIGTERM or SIGINT; a checkpoint is written and the same call goes on from it.
        NonFiniteError: the loss or gradient is no number; stopped before the update.
        ConfigurationError: an impossible configuration, or a checkpoint of another run in the work folder.
        InputError: the shards lack a split or their `text_bytes`.
        ConflictError: another process trains the same output.
    """
    source = open_artifact(shards)
    identity = _identity(config, source)
    done = find_whole(output, fingerprint(_KIND, **identity))
    if done is not None:
        return done
    text_bytes(source, "validation")  # missing, it would be noticed only after the training
    with publish(output, kind=_KIND, **identity) as publication:
        run = _Run(config, source, work_folder(output), identity, report)
        run.resume()
        run.train()
        run.write_result(publication)
    shutil.rmtree(run.checkpoints, ignore_errors=True)
    return publication.artifact


def work_folder(output: Path) -> Path:
    """Where a run keeps checkpoints and live metrics, always on this machine: `NAME.work` beside its output, or in the
    cache for an output in a store."""
    near = workspace(output)
    return near.parent / f"{near.name}.work"


def _identity(config: PretrainConfig, source: Artifact) -> dict[str, Any]:
    return {
        "config": to_mapping(config),
        "inputs": {"token_shards": source.digest},
        "code": source_digest("lm.training.pretrain"),
    }


class _Run:
    """The parts of one run, from its configuration."""

    def __init__(
        self, config: PretrainConfig, source: Artifact, work: Path, identity: Mapping[str, Any], report: Report
    ) -> None:
        if config.num_threads:
            torch.set_num_threads(config.num_threads)
        self.config, self.source, self.work, self.identity, self.report = config, source, work, identity, report
        self.checkpoints = work / "checkpoints"
        self.device = choose_device(config.device)
        training = TokenShards.open(source, "train")
        self.tokenizer_digest = training.metadata.tokenizer_digest
        self.validation = TokenStream(TokenShards.open(source, "validation", self.tokenizer_digest))
        model_config = config.model_config(training.vocab_size)
        torch.manual_seed(config.seed)
        model = TransformerLM(model_config).to(self.device)
        self.trainer = Trainer(config, model, self._loader(training, model_config.context_length))
        self.log = MetricsLog()

    def _loader(self, training: TokenShards, context_length: int) -> Loader:
        config = self.config
        order = make_reading_order(
            training,
            packing=config.packing,
            context_length=context_length,
            seed=config.seed,
            weights=config.source_weights,
        )
        loader = BatchLoader(
            order,
            batch_size=config.batch_size,
            document_masks=config.document_masks,
            pin_memory=self.device.type == "cuda",
        )
        return PrefetchedLoader(loader, config.prefetch_batches) if config.prefetch_batches else loader

    def resume(self) -> None:
        """Go on from the newest whole checkpoint, where there is one."""
        checkpoint = newest_checkpoint(self.checkpoints, self.report)
        if checkpoint is None:
            return
        refuse_other_run(checkpoint, self.identity["config"], self.identity["inputs"])
        load_checkpoint(checkpoint, self.trainer, self.log)
        if checkpoint.code != self.identity["code"]:
            self.report({"message": f"{checkpoint.path}: the code has changed since; the run is no longer exact"})
        self.report({"message": f"resumed from {checkpoint.path}"})

    def train(self) -> None:
        """Step until the end or a signal."""
        trainer = self.trainer
        view = LiveView(
            self.work, self.report, first_step=trainer.step, num_steps=trainer.num_steps, device=self.device
        )
        with StopSignals() as stop, view, contextlib.closing(trainer.loader):
            while trainer.step < trainer.num_steps:
                if stop.received is not None:
                    self._save()
                    raise Interrupted(
                        f"stopped by signal {stop.received} at step {trainer.step} of {trainer.num_steps}; "
                        f"run again to go on from {self.checkpoints}",
                        stop.received,
                    )
                self._step(view)

    def write_result(self, publication: Publication) -> None:
        """The model, its log and its score."""
        score = evaluate_perplexity(self.trainer.model, self.source)
        save_model(publication.path, self.trainer.model, self.tokenizer_digest)
        self.log.write(publication.path / "metrics.jsonl")
        write_json(publication.path / "evaluation.json", _evaluation(score))
        losses = self.log.values("loss")
        publication.summary.update(
            parameters=self.trainer.model.num_parameters,
            tokens=self.trainer.tokens,
            steps=self.trainer.step,
            first_loss=losses[0],
            last_loss=losses[-1],
            validation_loss=score.loss,
            bits_per_byte=score.bits_per_byte,
        )

    def _step(self, view: LiveView) -> None:
        config, last = self.config, self.trainer.step + 1 == self.trainer.num_steps
        result = self.trainer.train_step()
        logged = last or result.step == 1 or result.step % config.log_interval == 0
        if logged:
            self.log.add_step(result)
        view.step(result, logged)
        if not last and _due(result.step, config.evaluation_interval):
            view.event({"step": result.step, "validation_loss": self._validate(result.step)})
        if last or _due(result.step, config.checkpoint_interval):
            self._save()

    def _validate(self, step: int) -> float:
        tokens = min(self.config.evaluation_tokens or len(self.validation), len(self.validation))
        model = self.trainer.model
        loss = score_tokens(model, self.validation, stride=model.config.context_length, max_tokens=tokens) / tokens
        self.log.add_validation(step, loss)
        return loss

    def _save(self) -> None:
        save_checkpoint(self.checkpoints, self.trainer, self.log, **self.identity)


def _due(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0


def _evaluation(score: Score) -> dict[str, float]:
    return {
        "validation_loss": score.loss,
        "bits_per_byte": score.bits_per_byte,
        "nats": score.nats,
        "num_tokens": score.num_tokens,
        "text_bytes": score.text_bytes,
    }
