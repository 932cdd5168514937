"""Runs of the graph and of single assets, for tests: at a tiny size, in a home of the test's own."""

import dagster as dg

from assets.automation import demo_run
from assets.definitions import defs
from assets.support.resources import LoamHome

TINY = {
    "demo_crawl": {
        "num_pages": 240, "num_harmful_labels": 600, "num_quality_labels": 600, "num_train_instructions": 64,
        "num_heldout_instructions": 16, "num_train_preferences": 48, "num_heldout_preferences": 16,
        "num_train_problems": 48, "num_heldout_problems": 16,
    },
    "quality_documents": {"keep_share": None},
    "tokenizer": {"vocab_size": 600},
    "token_shards": {"validation_share": 0.1},
    "pretrained_model": {
        "preset": "test", "model": {"context_length": 192}, "num_tokens": 0, "num_steps": 8, "batch_size": 2,
        "num_threads": 1,
    },
    "training_budget": {
        "preset": "test", "model": {"context_length": 192}, "num_tokens": 0, "num_steps": 8, "batch_size": 2,
        "num_threads": 1,
    },
    "sft_model": {"num_steps": 3, "batch_size": 4, "max_new_tokens": 8, "evaluation_problems": 4, "num_threads": 1},
    "preference_pairs": {"num_problems": 4, "num_samples": 2, "max_new_tokens": 8, "num_threads": 1},
    "replay_control": {"num_threads": 1},
    "dpo_model": {"num_steps": 2, "batch_size": 4, "max_new_tokens": 8, "evaluation_problems": 4, "num_threads": 1},
    "grpo_model": {
        "num_steps": 2, "batch_size": 2, "group_size": 2, "max_new_tokens": 8, "evaluation_problems": 4,
        "num_threads": 1, "patience": 0,
    },
    "evaluation_report": {"num_problems": 4, "max_new_tokens": 8, "num_threads": 1},
}  # fmt: skip
"""What makes a run of the whole graph small enough for a test; far too small to learn anything."""

EXPERIMENTS = {
    key.to_user_string()
    for key in dg.AssetSelection.groups("experiments", "scaling_law").resolve(defs.resolve_asset_graph())
}
"""Assets that the demo leaves out."""


def run_demo(instance, home, changes=None, only=None):
    """Run the job `demo` at the tiny size, or those of its assets that `only` names."""
    config = {
        name: {"config": {**TINY.get(name, {}), **(changes or {}).get(name, {})}}
        for name in TINY.keys() | (changes or {}).keys()
        if only is None or name in only
    }
    return defs.resolve_job_def("demo").execute_in_process(
        run_config={"ops": config, "resources": {"home": {"config": {"path": str(home)}}}},
        instance=instance,
        tags=demo_run.demo_tags(),
        raise_on_error=False,
        asset_selection=None if only is None else [dg.AssetKey(name) for name in only],
    )


def materializations(run):
    """The last materialization of each asset of a run, by its name."""
    return {event.asset_key.to_user_string(): event for event in run.get_asset_materialization_events()}


def materialize(instance, home, names, partition=None, config=None, raise_on_error=True):
    """Materialize some assets, with what `home` (a path, or a store's URL) holds already; gives Dagster's result."""
    return dg.materialize(
        [defs.get_assets_def(name) for name in names],
        selection=list(names),
        instance=instance,
        resources=defs.resources | {"home": LoamHome(path=str(home))},
        run_config={"ops": {name: {"config": values} for name, values in (config or {}).items()}},
        partition_key=partition,
        raise_on_error=raise_on_error,
    )


def failure(instance, home, name, config, partition=None):
    """Materialize one asset that fails; gives its message and exit code."""
    result = materialize(instance, home, [name], partition, {name: config}, raise_on_error=False)
    events = result.filter_events(lambda event: event.is_step_failure)
    assert len(events) == 1
    data = events[0].step_failure_data.user_failure_data
    return data.description, data.metadata["exit_code"].value


def artifact(home, name, partition=None):
    """The artifact that asset `name` published below `home`."""
    return LoamHome(path=str(home)).artifact(name, partition)
