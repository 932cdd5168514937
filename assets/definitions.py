"""The Dagster definitions: assets, checks, jobs, schedules, sensors, resources."""

from __future__ import annotations

import warnings

import dagster as dg

# Single-run backfills and pools are what this project is built on; their beta status is known and pinned.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

from assets.automation.jobs import JOBS  # noqa: E402
from assets.automation.newest_crawl import newest_crawl  # noqa: E402
from assets.automation.sensors import SENSORS  # noqa: E402
from assets.graph import (  # noqa: E402 - the warnings come at import
    ablations,
    alignment,
    classifiers,
    crawl,
    curation,
    evaluation,
    mixture,
    model_checks,
    pretraining,
    scaling,
    tokens,
)
from assets.support.resources import RESOURCES  # noqa: E402

_ROOMS = [
    crawl,
    classifiers,
    curation,
    tokens,
    mixture,
    pretraining,
    model_checks,
    ablations,
    scaling,
    alignment,
    evaluation,
]

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(_ROOMS),
    asset_checks=dg.load_asset_checks_from_modules(_ROOMS),
    jobs=JOBS,
    sensors=[*SENSORS, newest_crawl],
    resources=RESOURCES,
)
