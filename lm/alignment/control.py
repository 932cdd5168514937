"""The control of the alignment tax: the same replay by the same schedule, and nothing else.

A stage with replay also goes on with pre-training, at an annealed rate, which by itself lowers the loss of text. What
alignment costs the language is therefore read against a model that had this much more pre-training:

    tax = bits per byte of the stage / bits per byte of the control − 1
"""

from __future__ import annotations

from pathlib import Path

from lm.alignment.config import SFTConfig
from lm.alignment.policy import Outcome, Policy, Report, StepLog, Tuner, silent, tune_to_artifact
from lm.errors import ConfigurationError
from lm.progress import track
from lm.storage import Artifact


def train_control(
    config: SFTConfig, *, model: Path, tokenizer: Path, shards: Path, output: Path, report: Report = silent
) -> Artifact:
    """Train the model at `model` on the replay of the SFT stage `config` alone and publish it at `output`.

    Raises:
        ConfigurationError: a configuration without replay.
        InputError: shards of another tokenizer, or another tokenizer's model.
    """
    if not config.replay_windows:
        raise ConfigurationError("replay_windows: 0, expected at least 1: the control is made of nothing else")

    def tune(policy: Policy, log: StepLog) -> Outcome:
        tuner = Tuner(policy.model.train(), config, policy.replay)
        done = log.resume(tuner)
        steps = range(done + 1, config.num_steps + 1)
        for step in track(steps, "control", total=len(steps), unit="step"):
            log(step, tuner.step())
        return Outcome({"num_steps": config.num_steps}, [])

    return tune_to_artifact(
        "control",
        config,
        tune,
        model=model,
        tokenizer=tokenizer,
        data=None,
        output=output,
        shards=shards,
        report=report,
    )


def alignment_tax(bits_per_byte: float, control: float) -> float:
    """Return how much more bits a byte takes than under the control, as a share."""
    return bits_per_byte / control - 1.0
