"""The groups of a corpus: which patterns choose which crawls."""

import dagster as dg
import pytest

from assets.automation.partitions import PER_GROUP, chosen_partitions
from lm.errors import ConfigurationError, InputError

DEMO = ["demo/g0000", "demo/g0001"]
REAL = ["CC-MAIN-2024-22/g0000", "local/g0000"]


@pytest.mark.parametrize(
    ("registered", "patterns", "chosen"),
    [
        (DEMO, ["*"], DEMO),
        (DEMO + REAL, ["*"], REAL),
        (DEMO + REAL, ["demo/*"], DEMO),
        (DEMO + REAL, ["*", "demo/g0001"], [*REAL, "demo/g0001"]),
        (DEMO + REAL, ["local/*"], ["local/g0000"]),
        ([*REAL, "mycrawl", "my crawl/g1"], ["*"], REAL),
        ([*DEMO, "mycrawl"], ["*"], DEMO),
    ],
)
def test_the_built_in_crawl_is_in_no_real_corpus_unless_named(registered, patterns, chosen):
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("warc_groups", registered)
        assert chosen_partitions(instance, patterns) == sorted(chosen)


def test_patterns_that_match_nothing_are_named():
    with dg.DagsterInstance.ephemeral() as instance:
        with pytest.raises(InputError, match="no WARC groups are registered"):
            chosen_partitions(instance, ["*"])
        instance.add_dynamic_partitions("warc_groups", DEMO)
        with pytest.raises(ConfigurationError, match=r"'local/\*' matches none of demo/g0000"):
            chosen_partitions(instance, ["local/*"])


def test_a_backfill_starts_a_run_for_each_group():
    assert PER_GROUP["backfill_policy"].max_partitions_per_run == 1
