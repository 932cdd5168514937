"""Every asset has a check, or its reason here; every result is a line; what blocks is declared so."""

from tests.assets.runs import EXPERIMENTS, defs

UNCHECKED = {
    "demo_crawl": "its truth is what the checks of the curation are held against",
    "warc_files": "a list: the digests of its files are compared whenever they are read",
    "alignment_data": "every line is validated before it is published",
    "evaluation_items": "every item is validated before it is published; no_evaluation_item_is_left searches for each",
    "curation_report": "drawn from the accounts that are checked at every step",
    "ngram_baseline": "the measure of beats_ngram",
    "training_plan": "arithmetic over the shards' counts; its formulas are held against torch's own count by tests",
    "training_budget": "budget_was_right, on the pre-trained model",
    "scaling_runs": "a comparison of trainings has no right result",
    "law_runs": "a grid of trainings has no right result",
    "law_prediction": "law_predicts, on its test",
    "law_report": "drawn from the prediction and its test",
    "ablations": "a comparison of trainings has no right result",
    "ablation_report": "drawn from the ablations",
    "preference_pairs": "one sample of each pair is verified and the other is not: it is made so",
    "grpo_model": "grpo_raises_the_verified_rate, on the evaluation report",
}
"""Assets without a check, with the reason."""

BLOCKING = {
    "accounts_are_exact",
    "no_evaluation_item_is_left",
    "tokenizer_round_trip",
    "shards_hold_every_document",
}


def keys():
    return {(key.asset_key.to_user_string(), key.name) for key in defs.resolve_asset_graph().asset_check_keys}


def test_every_asset_has_a_check_or_a_reason():
    assets = {key.to_user_string() for key in defs.resolve_all_asset_keys()}
    checked = {asset for asset, _ in keys()}
    assert assets - checked == set(UNCHECKED)


def test_what_blocks_is_declared_and_partitioned_where_its_asset_is():
    graph = defs.resolve_asset_graph()
    nodes = [graph.get(key) for key in graph.asset_check_keys]
    assert {node.key.name for node in nodes if node.blocking} == BLOCKING
    for node in nodes:
        assert node.description, node.key
        assert (node.partitions_def is not None) == (graph.get(node.key.asset_key).partitions_def is not None), node.key


def test_every_result_is_one_line(tiny_run):
    evaluations = tiny_run.get_asset_check_evaluations()
    of_the_demo = {(asset, check) for asset, check in keys() if asset not in EXPERIMENTS}
    assert {(each.asset_key.to_user_string(), each.check_name) for each in evaluations} == of_the_demo
    for each in evaluations:
        assert each.description and "\n" not in each.description, each.check_name
