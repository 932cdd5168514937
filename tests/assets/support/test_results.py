"""The metadata of a materialization: the artifact's own, by type, and one data version of all groups."""

import dagster as dg
import pytest

from assets.support.results import Stopwatch, artifact_metadata, partition_results, result
from lm import storage


def publish(target, content=b"x" * 7, **summary):
    with storage.publish(target, kind="thing", config={}, inputs={}, code="") as publication:
        (publication.path / "file").write_bytes(content)
        publication.summary.update(summary)
    return publication.artifact


def test_counts_are_shown_by_their_type(tmp_path):
    made = publish(tmp_path / "a", num=3, share=0.5, whole=True, name="n", rules={"a": 1})
    shown = artifact_metadata(made)
    assert {name: type(value) for name, value in shown.items() if name in made.summary} == {
        "num": dg.IntMetadataValue,
        "share": dg.FloatMetadataValue,
        "whole": dg.BoolMetadataValue,
        "name": dg.TextMetadataValue,
        "rules": dg.JsonMetadataValue,
    }
    assert (shown["size_bytes"].value, shown["num_files"].value) == (7, 1)
    assert (shown["path"].value, shown["digest"].value) == (str(made.path), made.digest)


def test_of_one_name_the_plot_is_shown_and_the_digest_is_the_data_version(tmp_path):
    made = publish(tmp_path / "a", funnel=3)
    found = result(made, Stopwatch(), {"funnel": dg.MetadataValue.md("picture")})
    assert found.metadata["funnel"] == dg.MetadataValue.md("picture")
    assert found.data_version == dg.DataVersion(made.digest)
    assert 0 <= found.metadata["seconds"].value < 60


def test_each_group_has_its_own_metadata_and_all_have_one_version(tmp_path):
    groups = ["demo/g0000", "demo/g0001"]
    made = {group: publish(tmp_path / group, content=group.encode(), num=i) for i, group in enumerate(groups)}
    partitions = dg.StaticPartitionsDefinition(groups)

    @dg.asset(partitions_def=partitions, backfill_policy=dg.BackfillPolicy.single_run())
    def thing(context: dg.AssetExecutionContext):
        return partition_results(context, made, Stopwatch(), lambda group, _: {"shown": dg.MetadataValue.text(group)})

    tags = {"dagster/asset_partition_range_start": groups[0], "dagster/asset_partition_range_end": groups[1]}
    run = dg.materialize([thing], tags=tags)
    events = {event.partition: event.materialization for event in run.get_asset_materialization_events()}
    assert {group: (each.metadata["num"].value, each.metadata["shown"].value) for group, each in events.items()} == {
        groups[0]: (0, groups[0]), groups[1]: (1, groups[1])
    }  # fmt: skip
    versions = {each.tags["dagster/data_version"] for each in events.values()}
    assert len(versions) == 1 and versions.isdisjoint({each.digest for each in made.values()})


@pytest.mark.parametrize("changed", [0, 1])
def test_the_joint_version_changes_with_any_group(tmp_path, changed):
    from assets.support.results import joint_digest

    before = [publish(tmp_path / str(i)) for i in range(2)]
    after = [*before]
    after[changed] = publish(tmp_path / "other", content=b"y")
    assert joint_digest(before) != joint_digest(after)
    assert joint_digest(before[:1]) == before[0].digest
