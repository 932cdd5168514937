"""The Dagster definitions: assets, checks, jobs, schedules, sensors, resources."""

from __future__ import annotations

import warnings

import dagster as dg

# Pools, single-run backfills and checks by partition: their status is known, and their version pinned.
warnings.filterwarnings("ignore", category=dg.BetaWarning)
warnings.filterwarnings("ignore", category=dg.PreviewWarning)

from assets.automation.conditions import automated, automation  # noqa: E402
from assets.automation.failure_reports import failure_reports  # noqa: E402
from assets.automation.freshness import fresh  # noqa: E402
from assets.automation.jobs import JOBS  # noqa: E402
from assets.automation.newest_crawl import newest_crawl  # noqa: E402
from assets.automation.nightly import nightly_evaluation  # noqa: E402
from assets.automation.retraining import enough_new_tokens  # noqa: E402
from assets.automation.sensors import SENSORS  # noqa: E402
from assets.graph import (  # noqa: E402 - the warnings come at import
    ablations,
    alignment,
    alignment_experiments,
    alignment_report,
    classifiers,
    crawl,
    curation,
    evaluation,
    mixture,
    model_checks,
    pretraining,
    scaling,
    scaling_law,
    systems,
    tokens,
)
from assets.support.catalog import described  # noqa: E402
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
    scaling_law,
    alignment,
    alignment_experiments,
    alignment_report,
    evaluation,
    systems,
]

_ASSETS = [each for each in dg.load_assets_from_modules(_ROOMS) if isinstance(each, dg.AssetsDefinition)]

defs = dg.Definitions(
    assets=dg.map_asset_specs(lambda spec: fresh(automated(described(spec))), _ASSETS),
    asset_checks=dg.load_asset_checks_from_modules(_ROOMS),
    jobs=JOBS,
    schedules=[nightly_evaluation],
    sensors=[*SENSORS, newest_crawl, enough_new_tokens, failure_reports, automation],
    resources=RESOURCES,
    # Steps use the machine's cores by processes of their own; a process a step would cost seconds each.
    executor=dg.in_process_executor,
)
