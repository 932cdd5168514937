"""Run configurations by name: the sizes that `make demo` uses."""

from __future__ import annotations

from typing import Any

from pipelines.paths import DEMO_CRAWL

NUM_DEMO_GROUPS = 2
NUM_DEMO_WARC_FILES = 4


def demo(seed: int = 0) -> dict[str, dict[str, Any]]:
    """Return the demo's configuration by asset, without fields at their defaults."""
    return {
        "demo_crawl": {"seed": seed, "num_warc_files": NUM_DEMO_WARC_FILES},
        "quality_documents": {"keep_share": None},  # its labels are of its own pages, so their threshold is right
        "unique_documents": {"partitions": [f"{DEMO_CRAWL}/*"]},
        "training_budget": {"seed": seed},
        "pretrained_model": {"seed": seed},
        "sft_model": {"seed": seed},
        "dpo_model": {"seed": seed},
        "grpo_model": {"seed": seed, "negative_weight": 0.2},
    }
