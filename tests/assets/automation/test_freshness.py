"""Freshness: none by default; with the variable, an old artifact is overdue in Dagster's own evaluation."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState
from dagster._core.definitions.freshness_evaluator import FRESHNESS_EVALUATORS_BY_POLICY_TYPE
from dagster._core.loader import LoadingContextForTest
from dagster._core.test_utils import freeze_time

from assets.automation.freshness import DAYS_VARIABLE, FOLLOWS_THE_CRAWL, fresh
from lm.errors import ConfigurationError
from tests.assets.runs import defs


def test_it_is_off_by_default_and_its_assets_are_there(monkeypatch):
    monkeypatch.delenv(DAYS_VARIABLE, raising=False)
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}
    assert set(FOLLOWS_THE_CRAWL) <= set(specs)
    assert all(fresh(spec).freshness_policy is None for spec in specs.values())


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "a month"])
def test_another_value_than_days_is_refused(monkeypatch, text):
    monkeypatch.setenv(DAYS_VARIABLE, text)
    with pytest.raises(ConfigurationError, match=f"LOAM_FRESHNESS_DAYS: '{text}', expected a whole number of days"):
        fresh(dg.AssetSpec("warc_files"))


@pytest.mark.parametrize(
    ("age_days", "state"), [(1, FreshnessState.PASS), (37, FreshnessState.WARN), (46, FreshnessState.FAIL)]
)
@pytest.mark.parametrize("name", ["warc_files", "evaluation_report"])
def test_an_old_artifact_is_overdue(monkeypatch, name, age_days, state):
    monkeypatch.setenv(DAYS_VARIABLE, "45")
    policy = fresh(dg.AssetSpec(name)).freshness_policy
    node = SimpleNamespace(key=dg.AssetKey(name), freshness_policy_or_from_metadata=policy)
    with dg.DagsterInstance.ephemeral() as instance:
        partition = "local/g0000" if name == "warc_files" else None
        instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=partition))
        evaluator = FRESHNESS_EVALUATORS_BY_POLICY_TYPE[type(policy)]()
        with freeze_time(datetime.now(UTC) + timedelta(days=age_days)):
            found = asyncio.run(evaluator.evaluate_freshness(LoadingContextForTest(instance), node))
    assert found == state
