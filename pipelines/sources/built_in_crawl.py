"""The files of the built-in crawl: what makes pages invented ones, whatever their crawl is called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from lm.storage import find_artifact
from pipelines.paths import artifact_path

ARTIFACT = "demo_crawl"


def built_in_files(root: Path) -> Mapping[str, str]:
    """Return the sha256 of each file of the built-in crawl of the home `root`, by name without a folder.

    Empty where the home has no built-in crawl.
    """
    crawl = find_artifact(artifact_path(ARTIFACT, root=root))
    return {} if crawl is None else {name.rpartition("/")[2]: entry.sha256 for name, entry in crawl.files.items()}


def are_built_in(digests: Iterable[str], root: Path) -> bool:
    """Return whether files with these sha256 are all of the built-in crawl of the home `root`; none are not."""
    wanted = set(digests)
    return bool(wanted) and wanted <= set(built_in_files(root).values())
