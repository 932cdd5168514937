"""Run configurations by name: the sizes that `make demo` uses."""

from __future__ import annotations

from typing import Any

from pipelines.demo_crawl.configuration import DemoCrawlConfig
from pipelines.paths import DEMO_CRAWL

NUM_DEMO_GROUPS = 2
NUM_DEMO_WARC_FILES = 4
NUM_DEMO_PROBLEMS = DemoCrawlConfig().num_heldout_problems
"""Held-out problems that every stage of the demo answers: all that the built-in crawl has."""


def demo(seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return the demo's configuration by asset, without fields at their defaults."""
    return {
        "demo_crawl": {"seed": seed, "num_warc_files": NUM_DEMO_WARC_FILES},
        "quality_documents": {"keep_share": None},  # its labels are of its own pages, so their threshold is right
        "unique_documents": {"partitions": [f"{DEMO_CRAWL}/*"]},
        "training_budget": {"seed": seed},
        "pretrained_model": {"seed": seed},
        "sft_model": {
            "seed": seed,
            "num_steps": 1_120,
            "batch_size": 16,
            "learning_rate": 4e-3,
            "final_lr_fraction": 0.01,
            "replay_windows": 1,
            "replay_weight": 1.5,
            "evaluation_problems": NUM_DEMO_PROBLEMS,
        },
        "preference_pairs": {"seed": seed},
        "dpo_model": {
            "seed": seed,
            "num_steps": 30,
            "learning_rate": 3e-4,
            "saturation": 0.3,
            "replay_windows": 3,
            "evaluation_problems": NUM_DEMO_PROBLEMS,
        },
        "grpo_model": {
            "seed": seed,
            "num_steps": 48,
            "batch_size": 48,
            "learning_rate": 7e-4,
            "replay_windows": 3,
            "replay_weight": 0.5,
            "evaluation_problems": NUM_DEMO_PROBLEMS,
        },
        "evaluation_report": {"num_problems": NUM_DEMO_PROBLEMS},
    }
