"""The folder of real inputs, which the benchmarks and tests read and the repository does not hold."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def shared_data() -> Path:
    """Return the folder of real inputs: `LOAM_SHARED_DATA`, or `shared/data` beside the checkout."""
    return Path(os.environ.get("LOAM_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
