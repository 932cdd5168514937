"""Groups of one run: each is reported by itself, a bad one fails alone, and none that failed reaches the corpus."""

import shutil

import dagster as dg
import pytest

from assets.automation.partitions import PER_GROUP
from assets.graph.group_results import each_group, report_groups
from assets.support.resources import LoamHome
from assets.support.results import Stopwatch
from lm.errors import InputError, NoSpaceError, UnreachableError
from pipelines.documents.accounts import Counts
from pipelines.sources.group_source import GroupSource, add_group
from tests.assets.runs import artifact, defs, failure, materialize
from tests.pipelines import warc_making as making

GROUPS = ["local/g0000", "local/g0001", "local/g0002"]
RANGE = {"dagster/asset_partition_range_start": GROUPS[0], "dagster/asset_partition_range_end": GROUPS[-1]}
JUDGING = (
    "language_documents", "prose_documents", "varied_documents", "harmless_documents", "quality_documents",
    "masked_documents",
)  # fmt: skip
UNJUDGED = {"harmless_documents": {"judge": "none"}, "quality_documents": {"judge": "none"}}


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as made:
        made.add_dynamic_partitions("warc_groups", GROUPS)
        yield made


@pytest.fixture
def home(tmp_path):
    """A home with three groups of two pages, whose second is no WARC file."""
    folder = making.folder_of(tmp_path / "warcs", {name: [making.article(name + i) for i in "xy"] for name in "abc"})
    (folder / "b.warc.gz").write_bytes(b"<html>not found</html>")
    for group in GROUPS:
        add_group(tmp_path / "home", group, GroupSource(folder=str(folder), files_per_group=1))
    return tmp_path / "home"


def evaluations(instance, asset, check):
    key = dg.AssetCheckKey(dg.AssetKey(asset), check)
    records = instance.event_log_storage.get_asset_check_execution_history(key, limit=50)
    return {
        record.partition: record.evaluation
        for record in reversed(records)
        if isinstance(record.evaluation, dg.AssetCheckEvaluation)
    }


@pytest.mark.fault(42)
def test_a_bad_group_of_a_run_fails_alone(instance, home):
    names = ["warc_files", "raw_documents"]
    run = dg.materialize(
        [defs.get_assets_def(name) for name in names],
        selection=names,
        instance=instance,
        resources=defs.resources | {"home": LoamHome(path=str(home))},
        tags=RANGE,
        raise_on_error=False,
    )
    (event,) = run.filter_events(lambda event: event.is_step_failure)
    told = event.step_failure_data.user_failure_data
    assert told.description.startswith("1 of 3 groups failed: local/g0001: ") and "b.warc.gz" in told.description
    assert "\n" not in told.description and told.metadata["exit_code"].value == 2
    reported = {each.partition for each in run.asset_materializations_for_node("raw_documents")}
    assert reported == {GROUPS[0], GROUPS[2]}
    assert artifact(home, "raw_documents", GROUPS[2]).summary["num_kept"] == 2
    checked = evaluations(instance, "raw_documents", "accounts_are_exact")
    assert {group: each.passed for group, each in checked.items()} == {GROUPS[0]: True, GROUPS[2]: True}
    materialized = instance.get_materialized_partitions(dg.AssetKey("raw_documents"))
    assert materialized == {GROUPS[0], GROUPS[2]}


@pytest.mark.parametrize(
    ("errors", "raised"), [([UnreachableError], UnreachableError), ([UnreachableError, InputError], dg.Failure)]
)
def test_a_silent_store_is_told_from_bad_data(instance, home, errors, raised):
    """What else failed in the run is not made good by another try."""
    failed = {f"local/g000{number}": error("no answer") for number, error in enumerate(errors)}
    seen = []

    @dg.asset(**PER_GROUP)
    def judged(context: dg.AssetExecutionContext):
        with pytest.raises(raised, match="local/g0000: no answer"):
            list(report_groups(context, LoamHome(path=str(home)), {}, failed, Stopwatch()))
        seen.append(raised)

    dg.materialize([judged], instance=instance, partition_key=GROUPS[0])
    assert seen == [raised]


def curate(instance, home, group):
    return materialize(instance, home, ("warc_files", "raw_documents", *JUDGING), group, UNJUDGED, raise_on_error=False)


@pytest.mark.fault(42)
def test_a_group_whose_accounts_are_wrong_never_reaches_a_training_set(instance, home, monkeypatch):
    """The last step of one group publishes a wrong count, as a fault in a stage would."""
    assert curate(instance, home, GROUPS[0]).success
    assert materialize(instance, home, ("warc_files", "raw_documents", *JUDGING[:-1]), GROUPS[2], UNJUDGED).success
    right = Counts.summary

    def wrong(self, stage):
        found = right(self, stage)
        return {**found, "num_kept": found["num_kept"] - 1, "num_removed": found["num_removed"] + 1}

    with monkeypatch.context() as patch:
        patch.setattr(Counts, "summary", wrong)
        description, _ = failure(instance, home, "masked_documents", {}, GROUPS[2])
    assert (
        description
        == "local/g0002: accounts_are_exact: 2 in, 1 kept, 1 removed, 0 lost; 2 rows in the table of kept documents; "
        "0 rows in the table of removals"
    )
    found = evaluations(instance, "masked_documents", "accounts_are_exact")
    assert (found[GROUPS[0]].passed, found[GROUPS[2]].passed, found[GROUPS[2]].blocking) == (True, False, True)
    both = {"partitions": [GROUPS[0], GROUPS[2]]}
    description, code = failure(instance, home, "unique_documents", both)
    assert description.startswith("local/g0002: masked_documents.accounts_are_exact failed: 2 in, 1 kept") and code == 2
    with monkeypatch.context() as patch:  # a run that ends before its checks does not make up for it
        patch.setattr("assets.graph.curation.run_stage_partitions", lambda *_, **__: 1 / 0)
        assert not materialize(instance, home, ["masked_documents"], GROUPS[2], raise_on_error=False).success
    assert failure(instance, home, "unique_documents", both)[0] == description
    alone = {"unique_documents": {"partitions": [GROUPS[0]]}}
    assert materialize(instance, home, ["unique_documents"], config=alone).success
    assert list(artifact(home, "unique_documents").inputs) == [GROUPS[0]]
    shutil.rmtree(home / "artifacts" / "masked_documents" / GROUPS[2])
    assert materialize(instance, home, ["masked_documents"], GROUPS[2]).success
    assert materialize(instance, home, ["unique_documents"], config={"unique_documents": both}).success
    assert len(artifact(home, "unique_documents").inputs) == 2


def test_a_group_without_artifacts_is_named_before_the_corpus_is_made(instance, home):
    assert curate(instance, home, GROUPS[0]).success
    description, _ = failure(instance, home, "unique_documents", {})
    assert description.startswith("no masked_documents of local/g0001, local/g0002: curate these groups")


def test_pages_that_were_not_judged_are_marked(instance, home):
    run = curate(instance, home, GROUPS[0])
    assert run.success
    for name in UNJUDGED:
        found = evaluations(instance, name, "documents_are_judged")[GROUPS[0]]
        assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
        assert found.description.startswith("every document kept without scoring")


def test_each_group_collects_the_errors_that_users_cause():
    def work(group):
        if group == "bad":
            raise InputError("no such file")
        if group == "full":
            raise OSError(28, "No space left on device", "x")
        return group.upper()

    failed = {}
    assert each_group(["a", "bad", "full", "b"], work, failed) == {"a": "A", "b": "B"}
    assert {group: type(error) for group, error in failed.items()} == {"bad": InputError, "full": NoSpaceError}
    assert each_group(["a", "bad"], str, failed) == {"a": "a"}
    with pytest.raises(ZeroDivisionError):
        each_group(["a"], lambda _: 1 / 0, {})
