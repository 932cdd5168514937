"""Dagster partitions: groups of WARC files, keyed `CRAWL/gNNNN`, and the questions of ablations."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

import dagster as dg

from lm.ablations.config import QUESTIONS
from lm.errors import ConfigurationError, InputError
from lm.scaling.grid_config import MOST_BUDGETS
from pipelines.paths import DEMO_CRAWL, parse_partition

WARC_GROUPS = dg.DynamicPartitionsDefinition(name="warc_groups")
"""One partition is a group of WARC files of one crawl."""

PER_GROUP: dict[str, Any] = {"partitions_def": WARC_GROUPS, "backfill_policy": dg.BackfillPolicy.multi_run(1)}
"""Keyword arguments of an asset made group by group. A backfill starts a run for each group: one that fails fails
alone, and the others are reported as they end. A run whose tags name a range, as the demo's, covers many groups."""


ABLATION_QUESTIONS = dg.StaticPartitionsDefinition(list(QUESTIONS))
"""One partition is one question of the ablations, compared by short trainings."""


EVERY_CRAWL = "*"
"""The pattern of all groups: of the built-in crawl alone, or of all others where there are any."""

LAW_BUDGETS = dg.StaticPartitionsDefinition([str(index) for index in range(MOST_BUDGETS)])
"""One partition is one budget of the own law's grid, by its index."""


def chosen_partitions(instance: dg.DagsterInstance, patterns: Sequence[str]) -> list[str]:
    """Return the registered groups that match any of the shell patterns, sorted. Other keys are left out.

    `*` leaves out the built-in crawl as soon as another crawl is registered: its invented pages belong into no real
    corpus. A pattern that names it, such as demo/*, takes it in.

    Raises:
        ConfigurationError: a pattern matches none.
        InputError: no groups are registered.
    """
    known = sorted(filter(is_group, instance.get_dynamic_partitions(str(WARC_GROUPS.name))))
    if not known:
        raise InputError("no WARC groups are registered: run `make demo`, or `python -m assets partitions add`")
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            raise ConfigurationError(f"partitions: '{pattern}' matches none of {', '.join(known[:20])}")
    real = [key for key in known if not _is_built_in(key)]
    named = [pattern for pattern in patterns if pattern != EVERY_CRAWL]

    def is_chosen(key: str) -> bool:
        asked = named if real and _is_built_in(key) else patterns
        return any(fnmatch.fnmatchcase(key, pattern) for pattern in asked)

    return [key for key in known if is_chosen(key)]


def _is_built_in(key: str) -> bool:
    return parse_partition(key)[0] == DEMO_CRAWL


def is_group(key: str) -> bool:
    """Return whether a registered key is CRAWL/gNNNN; the UI registers any text."""
    try:
        parse_partition(key)
    except ConfigurationError:
        return False
    return True
