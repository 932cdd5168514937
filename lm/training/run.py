"""One pre-training run: its parts from the configuration, and the loop over its steps."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from lm.errors import Interrupted, NonFiniteError, check_finite_scores
from lm.model import TransformerLM, choose_device, save_model
from lm.parallel.collectives import num_ranks, rank_in
from lm.parallel.launch import from_first, largest, note_step
from lm.shards import TokenShards
from lm.storage import Artifact, Publication, open_artifact, write_json
from lm.training.batches import BatchLoader, Loader, PrefetchedLoader
from lm.training.checkpoint_writer import CheckpointClock, CheckpointWriter
from lm.training.compute import chosen_unit
from lm.training.config import PretrainConfig
from lm.training.initialization import start_from
from lm.training.live_view import LiveView, SilentView
from lm.training.metrics import METRICS, PROFILE_FOLDER, MetricsLog, Report
from lm.training.precision import compute_type
from lm.training.profile import timed_step, traced_step
from lm.training.reading_order import decay_of_run, order_of_run
from lm.training.run_checkpoint import newest_checkpoint, refuse_other_run, restore_run, take_snapshot
from lm.training.state_parts import PARTS
from lm.training.stop import StopSignals
from lm.training.text_samples import sample_text
from lm.training.trainer import StepResult, Trainer
from lm.training.validation import Validator

if TYPE_CHECKING:
    from lm.tokenizer import Tokenizer


class Run:
    """The parts of one run; `identity` is what its manifests are published with."""

    def __init__(
        self,
        config: PretrainConfig,
        source: Artifact,
        tokenizer: Tokenizer | None,
        work: Path,
        identity: Mapping[str, Any],
        report: Report,
        signals: StopSignals,
        chat: Artifact | None = None,
    ) -> None:
        if config.num_threads:
            torch.set_num_threads(config.num_threads)
        self.config, self.tokenizer, self.work, self.identity, self.report = config, tokenizer, work, identity, report
        self.signals = signals
        self.device = choose_device(config.device)
        training = TokenShards.open(source, "train")
        self.tokenizer_digest = training.metadata.tokenizer_digest
        self._chat = None if chat is None else TokenShards.open(chat, "train", self.tokenizer_digest)
        compute = compute_type(config.precision, self.device)
        self.validator = Validator(source, self.tokenizer_digest, tokenizer, compute)
        torch.manual_seed(config.seed)
        model = TransformerLM(config.model_config(training.vocab_size)).to(self.device)
        self.trainer = Trainer(config, model, self._loader(training))
        self.is_first = self.trainer.replicas.rank == 0
        self._compiles = chosen_unit(config.compilation, self.device) != "off"
        self.log, self._saved_step = MetricsLog(), 0
        self.writer = CheckpointWriter(
            work / "checkpoints", identity, keep=config.keep_checkpoints, is_kept=config.is_kept
        )
        self._clock, self._copy_s = CheckpointClock(config.checkpoint_interval_s), 0.0

    def resume(self, start: Artifact | None = None) -> None:
        """Go on from the newest whole checkpoint, or begin at `start` where there is none."""
        checkpoint = self._newest_checkpoint()
        if checkpoint is not None:
            refuse_other_run(checkpoint, self.identity["config"], self.identity["inputs"])
            restore_run(checkpoint, self.trainer, self.log)
            if checkpoint.code != self.identity["code"]:
                self.report(
                    {"message": f"{checkpoint.path}: written by other code; the resumed run may not be bit-identical"}
                )
            self.report({"message": f"resumed from {checkpoint.path}"})
        elif start is not None:
            what = self.config.init_state
            start_from(start, what, self.identity, self.trainer, self.log, self.tokenizer_digest)
            self.report({"message": f"starts from the {what} of {start.path}"})
        self._saved_step = self.trainer.step

    def _newest_checkpoint(self) -> Artifact | None:
        """Return the checkpoint that rank 0 finds to be the newest whole one; parts of a killed one are deleted."""
        checkpoint = None
        if self.is_first:
            shutil.rmtree(self.writer.folder / PARTS, ignore_errors=True)
            checkpoint = newest_checkpoint(self.writer.folder, self.report)
        path = from_first(None if checkpoint is None else str(checkpoint.path))
        return open_artifact(path) if path else None

    def train(self) -> None:
        """Step until the end or a signal; the last step's checkpoint is written before this returns.

        Raises:
            Interrupted: after a signal, when the checkpoint is written.
            NonFiniteError: before an update that would have spoilt the weights.
            NoSpaceError: a checkpoint could not be written.
        """
        trainer = self.trainer
        view = self._view()
        with view, contextlib.closing(trainer.loader), contextlib.closing(self.writer):
            if trainer.step == 0 and self.config.warmup_steps >= trainer.num_steps:
                view.event({"step": 0, "message": self._short()})
            while trainer.step < trainer.num_steps:
                if self._agreed_signal() is not None:
                    if trainer.step > self._saved_step:
                        self._save()
                    self._stop_together()
                self.writer.raise_failure()
                self._step(view)
            self._stop_together()

    def _view(self) -> LiveView | SilentView:
        trainer = self.trainer
        if not self.is_first:
            return SilentView()
        return LiveView(
            self.work,
            self.report,
            first_step=trainer.step,
            num_steps=trainer.num_steps,
            device=self.device,
            dtype=trainer.compute_type,
            model=trainer.model.config,
            num_ranks=trainer.replicas.num_ranks,
        )

    def _agreed_signal(self) -> int | None:
        """Return a signal that any rank received, the same on all ranks; a later one counts at the next call."""
        return largest(self.signals.received or 0)[0] or None

    def write_result(self, publication: Publication | None) -> None:
        """Write the model, its log and its score, by rank 0; the others, without a publication, lend their weights.

        Raises:
            Interrupted: after a signal; the last step's checkpoint is there to go on from.
            NonFiniteError: a score is not finite; nothing is published, and the checkpoints stay.
        """
        trainer = self.trainer
        with trainer.replicas.whole_model() as model:
            if publication is None:
                return
            evaluation = self.validator.at_the_end(model, before_batch=self._stop_if_signalled)
            self._stop_if_signalled()
            check_finite_scores(evaluation, f"last evaluation, after step {trainer.step}")
            save_model(publication.path, model, self.tokenizer_digest)
            num_parameters = model.num_parameters
        self.log.write(publication.path / METRICS)
        write_json(publication.path / "evaluation.json", evaluation)
        losses = self.log.values("loss")
        publication.summary.update(
            parameters=num_parameters,
            tokens=trainer.tokens,
            steps=trainer.step,
            first_loss=losses[0],
            last_loss=losses[-1],
            validation_loss=evaluation["validation_loss"],
            bits_per_byte=evaluation["bits_per_byte"],
            skipped_steps=trainer.num_skipped,
        )
        if decay := decay_of_run(self.config, trainer.num_steps):
            publication.summary["chat_windows"] = decay.num_chat(trainer.step * self.config.batch_size)

    def _loader(self, training: TokenShards) -> Loader:
        config = self.config
        loader = BatchLoader(
            order_of_run(config, training, self._chat),
            batch_size=config.batch_size,
            document_masks=config.document_masks,
            pin_memory=self.device.type == "cuda",
            rank=rank_in() // config.tensor_parallel,
            world_size=num_ranks() // config.tensor_parallel,
        )
        return PrefetchedLoader(loader, config.prefetch_batches) if config.prefetch_batches else loader

    def _step(self, view: LiveView | SilentView) -> None:
        config, last = self.config, self.trainer.step + 1 == self.trainer.num_steps
        started = time.perf_counter()
        result = self._train_step()
        step = result.step
        note_step(step)
        if self._compiles:
            self._compiles = False
            seconds = time.perf_counter() - started
            view.event({"step": step, "message": f"the first step took {seconds:.1f} s, including compilation"})
        logged = last or step == 1 or _due(step, config.log_interval) or bool(result.spike or result.skipped)
        if logged:
            self.log.add(step, result.row())
        view.step(result, logged)
        if remark := _remark(result):
            view.event({"step": step, "message": remark})
        if not last and _due(step, config.evaluation_interval):
            with view.aside(), self.trainer.replicas.whole_model() as model:
                values = self.validator.on_the_way(model, config.evaluation_tokens) if self.is_first else {}
            check_finite_scores(values, f"evaluation after step {step}")
            view.event(self.log.add(step, values))
        if self.tokenizer is not None and _due(step, config.sample_interval):
            with view.aside(), self.trainer.replicas.whole_model() as model:
                text = self._sample(model, self.tokenizer) if self.is_first else ""
            view.event(self.log.add(step, {"sample": text}))
        if last or self._checkpoint_due(step):
            with view.aside():
                self._save()

    def _sample(self, model: TransformerLM, tokenizer: Tokenizer) -> str:
        return sample_text(model, tokenizer, self.config.sample_tokens, self.config.seed)

    def _train_step(self) -> StepResult:
        """Take a step, or one of the two that are profiled."""
        after = self.trainer.step + 1 - self.config.profile_step
        if not self.config.profile_step or after not in (0, 1) or not self.is_first:
            return self.trainer.train_step()
        return (traced_step if after else timed_step)(self.trainer, self.work / PROFILE_FOLDER)

    def _checkpoint_due(self, step: int) -> bool:
        if _due(step, self.config.checkpoint_interval) or self.config.is_kept(step):
            return True
        by_clock = not self.writer.is_writing and self._clock.is_due(self._copy_s + self.writer.seconds)
        return bool(largest(self.is_first and by_clock)[0])  # rank 0's clock counts

    def _save(self) -> None:
        """Copy the run's state and start to write it; a model that is not finite never replaces one that is.

        Raises:
            NonFiniteError: names the weight.
        """
        started = time.perf_counter()
        self._check_weights()
        self._saved_step = self.trainer.step
        if not (self.is_first or self.trainer.replicas.shares_state):
            return
        snapshot = take_snapshot(self.trainer, self.log, self.tokenizer_digest)
        self._copy_s = time.perf_counter() - started
        self.writer.write(snapshot)
        self._clock.restart()

    def _check_weights(self) -> None:
        weights = dict(self.trainer.replicas.held.named_parameters())
        finite = torch.stack([weight.isfinite().all() for weight in weights.values()]).tolist()
        bad = [name for name, whole in zip(weights, finite, strict=True) if not whole]
        if bad:
            raise NonFiniteError(
                f"step {self.trainer.step}: weight '{bad[0]}' is not finite after the update ({len(bad)} of "
                f"{len(weights)} weights); the checkpoints in {self.writer.folder} are from earlier steps"
            )

    def _stop_together(self) -> None:
        """Stop all ranks after a signal to any, when every rank has written its part of the checkpoint: a rank that
        ends makes the others end.
        """
        self.writer.wait()
        self._stop_after(self._agreed_signal())

    def _stop_if_signalled(self) -> None:
        self._stop_after(self.signals.received)

    def _stop_after(self, number: int | None) -> None:
        if number is not None:
            raise Interrupted(
                f"stopped by signal {number} at step {self.trainer.step} of {self.trainer.num_steps}; "
                f"run again to resume from {self.writer.folder}",
                number,
            )

    def _short(self) -> str:
        config, steps = self.config, self.trainer.num_steps
        return (
            f"warmup_steps {config.warmup_steps} of a run of {steps} steps: the learning rate does not reach "
            f"{config.learning_rate:g}"
        )


def _remark(result: StepResult) -> str | None:
    """Return a sentence on a step that was out of the ordinary."""
    left_out = "; the update was skipped" if result.skipped else ""
    if result.skipped == "overflow":
        return f"step {result.step}: a gradient overflowed at loss scale {result.loss_scale:g}{left_out}"
    if result.spike is not None:
        return (
            f"step {result.step}: loss {result.loss:.4g} is a spike, {result.spike:.3g} deviations above the "
            f"median of the previous steps{left_out}"
        )
    return None


def _due(step: int, interval: int) -> bool:
    return interval > 0 and step % interval == 0
