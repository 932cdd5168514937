"""Freshness: the age at which what follows the newest crawl is overdue. Off unless a variable names the days.

Crawls come about once a month, so without a variable every demo would be overdue after some weeks.
"""

from __future__ import annotations

import os
from datetime import timedelta

import dagster as dg

from lm.errors import ConfigurationError

DAYS_VARIABLE = "LOAM_FRESHNESS_DAYS"
FOLLOWS_THE_CRAWL = ("warc_files", "clean_documents", "curation_report", "pretrained_model", "evaluation_report")
"""One asset of each part of the graph that a new crawl makes anew."""

_WARN_SHARE = 0.8


def fresh(spec: dg.AssetSpec) -> dg.AssetSpec:
    """Return the specification of an asset with its freshness policy, if it has one.

    Raises:
        ConfigurationError: the variable holds no number of days.
    """
    days = _days()
    if days is None or spec.key.to_user_string() not in FOLLOWS_THE_CRAWL:
        return spec
    window = timedelta(days=days)
    policy = dg.FreshnessPolicy.time_window(fail_window=window, warn_window=window * _WARN_SHARE)
    return spec.replace_attributes(freshness_policy=policy)


def _days() -> int | None:
    text = os.environ.get(DAYS_VARIABLE, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ConfigurationError(f"{DAYS_VARIABLE}: '{text}', expected a whole number of days, at least 1")
    return int(text)
