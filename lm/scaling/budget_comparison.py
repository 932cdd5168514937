"""A training's budget against the run: predicted and measured memory and time. Loads without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm.configuration import from_mapping, to_mapping
from lm.storage import Artifact
from lm.training.config import PretrainConfig
from lm.training.metrics import live_rows, work_folder

BUDGET, CALIBRATION = "budget.json", "calibration.json"
MOST_BYTES_ERROR, MOST_SECONDS_ERROR = 0.1, 0.2


def comparison(budget: Artifact, budget_path: Path, model: Artifact, model_path: Path) -> dict[str, Any]:
    """Return predicted and measured memory and time of a run, and their relative errors; `same` is false where the
    budget was made for another configuration, and an error is None where nothing was measured.
    """
    facts = json.loads(budget.file(BUDGET).read_text())
    found: dict[str, Any] = {"same": _trained(model.config) == _trained(budget.config)}
    calibration = work_folder(budget_path) / CALIBRATION
    measured = json.loads(calibration.read_text()) if calibration.exists() else {}
    if measured.get("digest") != budget.digest:
        measured = {}
    seconds = max((row.get("seconds", 0.0) for row in live_rows(model_path)), default=0.0)
    found["predicted_bytes"], found["measured_bytes"] = facts["peak_bytes"], measured.get("peak_bytes")
    found["predicted_seconds"], found["measured_seconds"] = measured.get("predicted_seconds"), seconds or None
    for name in ("bytes", "seconds"):
        predicted, actual = found[f"predicted_{name}"], found[f"measured_{name}"]
        found[f"{name}_error"] = predicted / actual - 1 if predicted and actual else None
    return found


def _trained(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings without those that neither cost nor change anything."""
    free = ("init_from", "source_weights", "sample_interval", "sample_tokens", "profile_step")
    whole = to_mapping(from_mapping(PretrainConfig, config))
    return {name: value for name, value in whole.items() if name not in free}
