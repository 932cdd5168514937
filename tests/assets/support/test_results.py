"""The metadata of a materialization: the artifact's own, by type, and one data version of all groups."""

import dagster as dg
import pytest

from assets.support import plots
from assets.support.results import Stopwatch, artifact_metadata, partition_results, result
from lm import storage


def publish(target, content=b"x" * 7, **summary):
    with storage.publish(target, kind="thing", config={}, inputs={}, code="") as publication:
        (publication.path / "file").write_bytes(content)
        publication.summary.update(summary)
    return publication.artifact


def test_counts_are_shown_by_their_type(tmp_path):
    made = publish(tmp_path / "a", num=3, share=0.123456, whole=True, name="n", rules={"a": 1}, deep={"a": [1]})
    shown = artifact_metadata(made)
    assert {name: type(value) for name, value in shown.items() if name in made.summary} == {
        "num": dg.IntMetadataValue,
        "share": dg.FloatMetadataValue,
        "whole": dg.BoolMetadataValue,
        "name": dg.TextMetadataValue,
        "rules": dg.TableMetadataValue,
        "deep": dg.JsonMetadataValue,
    }
    assert shown["share"].value == 0.1235
    assert [record.data for record in shown["rules"].records] == [{"name": "a", "value": 1}]
    assert (shown["size"].value, shown["num_files"].value) == ("7 bytes", 1)
    assert (shown["path"].value, shown["digest"].value) == (str(made.path), made.digest[:12])


def test_headlines_come_first_and_empty_entries_are_left_out(tmp_path):
    made = publish(tmp_path / "a", a=1, empty={}, nothing=[], bits_per_byte=0.57721566, sources=[{"digest": "d"}])
    found = result(made, Stopwatch(), {"page": dg.MetadataValue.md("text"), "curve": plots.inline("c", "<svg/>")})
    names = list(found.metadata)
    assert names[:4] == ["curve", "bits_per_byte", "page", "a"]
    assert found.metadata["bits_per_byte"].value == 0.5772
    assert not {"empty", "nothing", "sources"} & set(names)


def test_mappings_of_mappings_are_a_table_with_a_row_each(tmp_path):
    made = publish(tmp_path / "a", sets={"x": {"found": 1, "share": 0.25}, "y": {"found": 2}})
    rows = [record.data for record in artifact_metadata(made)["sets"].records]
    assert rows == [{"name": "x", "found": 1, "share": 0.25}, {"name": "y", "found": 2, "share": None}]


@pytest.mark.parametrize(
    ("size", "text"), [(7, "7 bytes"), (5_949_000, "5.949 MB"), (1_073_741_824, "1.074 GB"), (999, "999 bytes")]
)
def test_sizes_are_readable(size, text):
    assert plots.bytes_text(size) == text


def test_costs_are_readable():
    row = {"preset": "x", "parameters": 1_400_000, "flops_of_one_epoch": 3.2e15, "training_memory_bytes": 20_000_000}
    assert list(plots.readable(row).values()) == ["x", "1.4 M", "3.2 PFLOP", "20 MB"]


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
