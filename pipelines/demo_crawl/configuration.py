"""The configuration of a demo crawl."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError

TRUTH, HARMFUL_LABELS, QUALITY_LABELS = "truth.parquet", "harmful_labels.jsonl", "quality_labels.jsonl"
"""Names of files in a demo crawl, beside the WARC files and the alignment data."""


@dataclass(frozen=True, kw_only=True)
class DemoCrawlConfig:
    """Sizes and the seed of a demo crawl.

    The alignment and label files have sizes of their own, whatever the number of pages. `pii_share` is the share of
    English pages that carry personal data.

    Raises:
        ConfigurationError: at construction, a size that is too small, or a share outside 0 to 1.
    """

    num_pages: Annotated[int, Doc("Number of pages, duplicates included."), Range(1)] = 2_000
    seed: Annotated[int, Doc("Random seed of the crawl: the same seed gives the same bytes."), Range(0)] = 0
    num_warc_files: Annotated[int, Doc("Number of WARC files."), Range(1)] = 4
    pii_share: Annotated[float, Doc("Share of English pages with personal data."), Range(0, 1)] = 0.085
    num_harmful_labels: Annotated[
        int, Doc("Labelled texts for training the harmful-content classifiers."), Range(0)
    ] = 2_400
    num_quality_labels: Annotated[int, Doc("Labelled texts for training the quality classifier."), Range(0)] = 2_400
    num_train_instructions: Annotated[int, Doc("Instructions for fine-tuning."), Range(0)] = 8_000
    num_heldout_instructions: Annotated[int, Doc("Held-out instructions."), Range(0)] = 400
    num_train_preferences: Annotated[int, Doc("Preference pairs for training."), Range(0)] = 600
    num_heldout_preferences: Annotated[int, Doc("Held-out preference pairs."), Range(0)] = 300
    num_train_problems: Annotated[int, Doc("Problems for reinforcement learning."), Range(0)] = 4_000
    num_heldout_problems: Annotated[int, Doc("Held-out problems."), Range(0)] = 400

    def __post_init__(self) -> None:
        settle(self, "demo_crawl")
        if self.num_warc_files > self.num_pages:
            raise ConfigurationError(
                f"demo_crawl.num_warc_files: {self.num_warc_files} files, "
                f"expected at most as many as there are pages ({self.num_pages})"
            )
