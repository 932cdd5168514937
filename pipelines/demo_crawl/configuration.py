"""What a demo crawl is made of."""

from __future__ import annotations

from dataclasses import dataclass

from lm.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class DemoCrawlConfig:
    """Sizes and the seed of a demo crawl.

    The alignment and label files have sizes of their own, whatever the number of pages. `pii_share` is the share of
    English pages that carry personal data.

    Raises:
        ConfigurationError: at construction, a size that is too small or a share that is none.
    """

    num_pages: int = 2_000
    """Pages, copies included."""
    seed: int = 0
    """Draws everything: the same seed gives the same bytes."""
    num_warc_files: int = 4
    """WARC files that the pages are divided over."""
    pii_share: float = 0.085
    """Share of English pages that carry personal data."""
    num_harmful_labels: int = 2_400
    """Labelled texts to train the harmful-content classifiers on."""
    num_quality_labels: int = 2_400
    """Labelled texts to train the quality classifier on."""
    num_train_instructions: int = 4_000
    """Instructions to fine-tune on."""
    num_heldout_instructions: int = 400
    """Instructions that are held out."""
    num_train_preferences: int = 2_000
    """Preference pairs to train on."""
    num_heldout_preferences: int = 300
    """Preference pairs that are held out."""
    num_train_problems: int = 4_000
    """Problems for reinforcement learning."""
    num_heldout_problems: int = 400
    """Problems that are held out."""

    def __post_init__(self) -> None:
        for name in ("num_pages", "num_warc_files"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"demo_crawl.{name}: {getattr(self, name)}, expected at least 1")
        for name in self.__dataclass_fields__:
            if name.startswith("num_") and getattr(self, name) < 0:
                raise ConfigurationError(f"demo_crawl.{name}: {getattr(self, name)}, expected 0 or more")
        if self.num_warc_files > self.num_pages:
            raise ConfigurationError(
                f"demo_crawl.num_warc_files: {self.num_warc_files} files, "
                f"expected at most as many as there are pages ({self.num_pages})"
            )
        if not 0 <= self.pii_share <= 1:
            raise ConfigurationError(f"demo_crawl.pii_share: {self.pii_share} is no share, expected 0 to 1")
