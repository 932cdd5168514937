"""Runs of the graph at a tiny size, on an instance that leaves nothing behind."""

import warnings

import dagster as dg
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from assets.automation import jobs
    from assets.definitions import defs

TINY = {
    "demo_crawl": {
        "num_pages": 240, "num_harmful_labels": 600, "num_quality_labels": 600, "num_train_instructions": 64,
        "num_heldout_instructions": 16, "num_train_preferences": 48, "num_heldout_preferences": 16,
        "num_train_problems": 48, "num_heldout_problems": 16,
    },
    "tokenizer": {"vocab_size": 600},
    "token_shards": {"validation_share": 0.1},
    "pretrained_model": {
        "preset": "test", "model": {"context_length": 192}, "num_tokens": 0, "num_steps": 8, "batch_size": 2,
        "num_threads": 1,
    },
    "sft_model": {"num_steps": 3, "batch_size": 4, "max_new_tokens": 8, "evaluation_problems": 4, "num_threads": 1},
    "dpo_model": {"num_steps": 2, "batch_size": 4, "max_new_tokens": 8, "evaluation_problems": 4, "num_threads": 1},
    "grpo_model": {
        "num_steps": 2, "batch_size": 2, "group_size": 2, "max_new_tokens": 8, "evaluation_problems": 4,
        "num_threads": 1,
    },
    "evaluation_report": {"num_problems": 4, "max_new_tokens": 8, "num_threads": 1},
}  # fmt: skip
"""What makes a run of the whole graph small enough for a test; far too small to learn anything."""


@pytest.fixture(scope="session")
def definitions():
    """All definitions, loaded once."""
    return defs


@pytest.fixture(scope="session")
def tiny_home(tmp_path_factory):
    """The home folder of the tiny run."""
    return tmp_path_factory.mktemp("tiny") / "home"


@pytest.fixture(scope="session")
def instance():
    """An instance of this test session, with the demo's groups."""
    with dg.DagsterInstance.ephemeral() as ephemeral:
        jobs.register_demo_groups(ephemeral)
        yield ephemeral


def run_demo(instance, home, changes=None):
    """Run the job `demo` at the tiny size."""
    config = {name: {"config": {**values, **(changes or {}).get(name, {})}} for name, values in TINY.items()}
    return defs.resolve_job_def("demo").execute_in_process(
        run_config={"ops": config, "resources": {"home": {"config": {"path": str(home)}}}},
        instance=instance,
        tags=jobs.demo_tags(),
        raise_on_error=False,
    )


@pytest.fixture(scope="session")
def tiny_run(instance, tiny_home):
    """The whole graph, once."""
    return run_demo(instance, tiny_home)
