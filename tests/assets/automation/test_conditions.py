"""Declarative automation: off, and what each evaluation asks for."""

import dagster as dg

from assets.automation.conditions import PER_GROUP_CHAIN, automation
from tests.assets.runs import defs

GROUP = "local/g0000"


def asked(instance, cursor=None):
    """The assets and groups that one evaluation asks for, and its cursor."""
    result = dg.evaluate_automation_conditions(defs=defs, instance=instance, cursor=cursor)
    names = {}
    for key in defs.resolve_all_asset_keys():
        keys = result.get_requested_partitions(key)
        if keys:
            names[key.to_user_string()] = keys
    return names, result.cursor


def publish(instance, name, partition=None):
    instance.report_runless_asset_event(dg.AssetMaterialization(name, partition=partition))


def test_the_automation_is_off():
    assert automation.default_status == dg.DefaultSensorStatus.STOPPED


def test_a_new_group_is_asked_for_once_whole_and_without_the_built_in_crawl():
    with dg.DagsterInstance.ephemeral() as instance:
        for name in ("harm_classifiers", "quality_classifier"):
            publish(instance, name)
        found, cursor = asked(instance)
        assert not set(found) & set(PER_GROUP_CHAIN)
        instance.add_dynamic_partitions("warc_groups", [GROUP])
        found, cursor = asked(instance, cursor)
        assert {name: found.get(name) for name in PER_GROUP_CHAIN} == {name: {GROUP} for name in PER_GROUP_CHAIN}
        found, _ = asked(instance, cursor)
        assert not set(found) & set(PER_GROUP_CHAIN)


def test_a_step_waits_for_its_classifiers():
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("warc_groups", [GROUP])
        _, cursor = asked(instance)
        for name in PER_GROUP_CHAIN[: PER_GROUP_CHAIN.index("harmless_documents")]:
            publish(instance, name, GROUP)
        assert "harmless_documents" not in asked(instance, cursor)[0]


def test_a_report_follows_its_corpus():
    with dg.DagsterInstance.ephemeral() as instance:
        publish(instance, "clean_documents")
        publish(instance, "curation_report")
        found, cursor = asked(instance)
        assert "curation_report" not in found
        publish(instance, "clean_documents")
        assert "curation_report" in asked(instance, cursor)[0]


def test_no_training_is_started_by_a_condition():
    automated = {spec.key.to_user_string() for spec in defs.resolve_all_asset_specs() if spec.automation_condition}
    assert automated == {*PER_GROUP_CHAIN, "curation_report", "tokenizer_report", "ablation_report"}
