"""The control of the alignment tax: the replay of every stage by its own schedule, and nothing else.

A stage with replay also goes on with pre-training, which by itself lowers the loss of text. What alignment costs the
language is therefore read against a model that had this much more pre-training, at the same rates:

    tax = bits per byte of the stage / bits per byte of the control − 1

The control passes through the stages in their order, as the aligned model did. A stage without replay adds nothing to
it. A stage that ended early, or that published an earlier step's model, is followed for as many updates as that model
had.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lm.alignment.config import DeviceConfig, DPOConfig, GRPOConfig, SFTConfig, TuningConfig
from lm.alignment.policy import Report, StepLog, Tuner, silent
from lm.alignment.replay import Replay
from lm.alignment.validation import published_step
from lm.artifact import Artifact
from lm.code_version import code_digest
from lm.configuration import from_mapping, to_mapping
from lm.errors import InputError
from lm.evaluation.perplexity import evaluate_perplexity
from lm.model import TransformerLM, choose_device, load_model, save_model
from lm.progress import track
from lm.storage import find_whole, fingerprint, open_artifact, publish, write_json
from lm.tokenizer import Tokenizer
from lm.training.compute import prepare
from lm.training.metrics import METRICS, work_folder
from lm.training.stop import StopSignals

KIND = "replay_control"
_CONFIGS: Mapping[str, type[TuningConfig]] = {"sft": SFTConfig, "dpo": DPOConfig, "grpo": GRPOConfig}


def train_control(
    config: DeviceConfig,
    *,
    model: Path,
    stages: Mapping[str, Path],
    tokenizer: Path,
    shards: Path,
    output: Path,
    report: Report = silent,
) -> Artifact:
    """Train the model at `model` on the replay of `stages` (name to artifact, in their order) and publish it.

    `evaluation.json` has for every stage its `bits_per_byte` on the held-out documents, those of the control at the
    same point (`control_bits_per_byte`), the `tax`, and the `num_updates` that both made.

    Raises:
        InputError: no stages, an unknown one, another tokenizer's model or shards, or no held-out documents.
        Interrupted: stopped by a signal; nothing is published.
    """
    followed = {name: _Stage(name, path) for name, path in stages.items()}
    if not followed:
        raise InputError("stages: none given, expected at least one stage's artifact")
    if config.num_threads:
        torch.set_num_threads(config.num_threads)
    start, vocabulary, corpus = open_artifact(model), Tokenizer.load(tokenizer), open_artifact(shards)
    inputs = {"model": start.digest, "tokenizer": vocabulary.digest, "shards": corpus.digest}
    inputs |= {f"stage {name}": stage.artifact.digest for name, stage in followed.items()}
    settings, code = to_mapping(config), code_digest(train_control)
    if (whole := find_whole(output, fingerprint(KIND, settings, inputs, code))) is not None:
        return whole
    network, _ = load_model(start, choose_device(config.device), vocabulary.digest)
    publication_of = publish(output, kind=KIND, config=settings, inputs=inputs, code=code)
    taxes: dict[str, dict[str, Any]] = {}
    with StopSignals() as signals, publication_of as publication:
        with StepLog(publication.path / METRICS, report, signals, work=work_folder(output)) as log:
            for name, stage in followed.items():
                stage.replay(network, corpus, vocabulary.digest, log)
                taxes[name] = stage.tax(network, corpus, vocabulary.digest)
                report({"message": f"{name}: alignment tax {taxes[name]['tax']:+.2%}"})
                log.check_signals(f"after the replay of {name}")
        save_model(publication.path, network, vocabulary.digest)
        write_json(publication.path / "evaluation.json", taxes)
        publication.summary.update(taxes)
    return publication.artifact


class _Stage:
    """One stage that the control follows."""

    def __init__(self, name: str, path: Path) -> None:
        """Raises:
        InputError: an unknown stage.
        """
        if name not in _CONFIGS:
            raise InputError(f"stage '{name}', expected one of {', '.join(_CONFIGS)}")
        self.name, self.artifact = name, open_artifact(path, kind=f"{name}_model")
        self.config = from_mapping(_CONFIGS[name], self.artifact.config)
        parts = self.config.num_updates // self.config.num_steps
        num_steps = len(self.artifact.file(METRICS).read_text(encoding="utf-8").splitlines())
        self.num_updates = parts * (published_step(self.artifact) or num_steps)

    def replay(self, network: TransformerLM, corpus: Artifact, tokenizer_digest: str, log: StepLog) -> None:
        """Make the updates of the stage by its replay alone; none where the stage had no replay."""
        if not self.config.replay_windows:
            return
        prepare(network, precision=self.config.precision, compile=self.config.compile)
        text = Replay.of(self.config, corpus, network, tokenizer_digest)
        tuner = Tuner(network.train(), self.config, text)
        for _ in track(range(self.num_updates), f"control of {self.name}", total=self.num_updates, unit="step"):
            log(len(log.rows) + 1, tuner.step())

    def tax(self, network: TransformerLM, corpus: Artifact, tokenizer_digest: str) -> dict[str, Any]:
        """Return the bits per byte of stage and control, and the tax."""
        tuned, _ = load_model(self.artifact, network.device, tokenizer_digest)
        ours, control = (evaluate_perplexity(each.eval(), corpus).bits_per_byte for each in (tuned, network))
        return {
            "bits_per_byte": ours,
            "control_bits_per_byte": control,
            "tax": alignment_tax(ours, control),
            "num_updates": self.num_updates,
        }


def alignment_tax(bits_per_byte: float, control: float) -> float:
    """Return how much more bits a byte takes than under the control, as a share."""
    return bits_per_byte / control - 1.0
