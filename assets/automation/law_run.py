"""The run of the job `scaling_law`: its budgets as tags, and its configuration for one of the grids."""

from __future__ import annotations

from typing import Any

from assets.automation.demo_run import RANGE_END, RANGE_START
from lm.configuration import to_mapping
from lm.scaling.grid_config import GRIDS, GridConfig

CONFIGURED = ("law_runs", "law_prediction", "law_test")
"""Assets of the law that take the grid; all of a run take the same one."""


def law_tags() -> dict[str, str]:
    """Return the tags of a run of the law: all budgets of the demo's grid, and of each preset, in one run."""
    return {RANGE_START: "0", RANGE_END: str(len(GRIDS["demo"].budgets_flops) - 1)}


def law_run_config(grid: GridConfig) -> dict[str, Any]:
    """Return the configuration of a run of the law with this grid."""
    return {"ops": {asset: {"config": to_mapping(grid)} for asset in CONFIGURED}}
