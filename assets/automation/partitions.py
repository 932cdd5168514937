"""Dagster partitions: groups of WARC files, keyed `CRAWL/gNNNN`, and the questions of ablations."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

import dagster as dg

from lm.ablations.config import QUESTIONS
from lm.errors import ConfigurationError, InputError

WARC_GROUPS = dg.DynamicPartitionsDefinition(name="warc_groups")
"""One partition is a group of WARC files of one crawl."""

PER_GROUP: dict[str, Any] = {"partitions_def": WARC_GROUPS, "backfill_policy": dg.BackfillPolicy.single_run()}
"""Keyword arguments of an asset made group by group; one run may cover many groups, which share the cost of its
step."""


ABLATION_QUESTIONS = dg.StaticPartitionsDefinition(list(QUESTIONS))
"""One partition is one question of the ablations, compared by short trainings."""


def chosen_partitions(instance: dg.DagsterInstance, patterns: Sequence[str]) -> list[str]:
    """Return the registered groups that match any of the shell patterns, sorted.

    Raises:
        ConfigurationError: a pattern matches none.
        InputError: no groups are registered.
    """
    known = sorted(instance.get_dynamic_partitions(str(WARC_GROUPS.name)))
    if not known:
        raise InputError("no WARC groups are registered: run `make demo`, or add partitions CRAWL/gNNNN")
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            raise ConfigurationError(f"partitions: '{pattern}' matches none of {', '.join(known[:20])}")
    return [key for key in known if any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)]
