"""Log-probabilities of the frozen reference, stored once: the anchor of preference optimization.

They depend on the model, the pairs and the chat template, and not on the loss, β or the learning rate. An artifact
holds them, in the work folder of the stage: a run with another β reads it, one with another model or data replaces it.
A reference from elsewhere, such as a GPU, is refused where its model, tokenizer, data, template or rule for long
examples are others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from lm.alignment.config import TuningConfig
from lm.alignment.policy import Policy
from lm.alignment.preferences import Pair, PairLogProbs, all_pair_log_probs
from lm.chat.template import LOAM
from lm.errors import InputError
from lm.model.files import load_tensors, save_tensors
from lm.storage import Artifact, Publication, make, open_artifact

KIND = "reference_log_probs"
FOLDER = "reference"
_FILE = "log_probs.safetensors"
_NAMES = ("chosen", "rejected", "chosen_tokens", "rejected_tokens")


def reference_log_probs(
    policy: Policy, pairs: Mapping[str, Sequence[Pair]], config: TuningConfig, given: Path | None = None
) -> dict[str, PairLogProbs]:
    """Return the log-probabilities of each split's pairs under the policy as it comes: stored ones where there are any.

    Args:
        given: an artifact to read in place of that in the policy's work folder.

    Raises:
        InputError: `given` was made of another model, tokenizer, data, template or rule; names the digests.
    """
    inputs = {name: policy.inputs[name] for name in ("model", "tokenizer", "data")}
    shaping = {"template": LOAM.name, "too_long": config.too_long}
    if given is not None:
        return _loaded(_of_same(open_artifact(given, kind=KIND), inputs, shaping), pairs, policy)

    def write(publication: Publication) -> None:
        found = {split: all_pair_log_probs(policy.model, each) for split, each in pairs.items()}
        tensors = {f"{split}.{name}": getattr(each, name) for split, each in found.items() for name in _NAMES}
        save_tensors(publication.path / _FILE, tensors)
        publication.summary.update({f"num_{split}_pairs": len(each) for split, each in pairs.items()})

    numerics = {"precision": config.precision, "device": policy.model.device.type}
    stored = make(policy.work / FOLDER, write, kind=KIND, config=shaping | numerics, inputs=inputs)
    return _loaded(stored, pairs, policy)


def _of_same(artifact: Artifact, inputs: Mapping[str, str], shaping: Mapping[str, str]) -> Artifact:
    found = {**artifact.inputs, **artifact.config}
    for name, wanted in {**inputs, **shaping}.items():
        if found.get(name) != wanted:
            raise InputError(f"{artifact.path}: log-probabilities of {name} {found.get(name)}, expected {wanted}")
    return artifact


def _loaded(artifact: Artifact, pairs: Mapping[str, Sequence[Pair]], policy: Policy) -> dict[str, PairLogProbs]:
    tensors = {name: each.to(policy.model.device) for name, each in load_tensors(artifact.file(_FILE)).items()}
    found = {}
    for split, wanted in pairs.items():
        found[split] = PairLogProbs(*(tensors.get(f"{split}.{name}", torch.empty(0)) for name in _NAMES))
        if len(found[split].chosen) != len(wanted):
            raise InputError(
                f"{artifact.path}: {len(found[split].chosen)} {split} pairs, expected {len(wanted)} as in the data"
            )
    return found
