"""What a user can get wrong: one clear line, the exit code, and nothing published."""

import os
import subprocess
import sys

import dagster as dg
import pytest

from tests.assets.conftest import defs
from tests.conftest import REPOSITORY


def failure(instance, home, name, config, partition=None):
    """Materialize one asset and give its failure."""
    result = dg.materialize(
        [defs.get_assets_def(name)],
        instance=instance,
        resources=defs.resources | {"home": defs.resources["home"].__class__(path=str(home))},
        run_config={"ops": {name: {"config": config}}},
        partition_key=partition,
        raise_on_error=False,
    )
    events = result.filter_events(lambda event: event.is_step_failure)
    assert len(events) == 1
    data = events[0].step_failure_data.user_failure_data
    return data.description, data.metadata["exit_code"].value


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("demo_crawl", {"num_pages": 0}, "DemoCrawlConfig.num_pages: 0, expected at least 1"),
        ("quality_classifier", {"labels": "nowhere.jsonl"}, "nowhere.jsonl: no such file"),
        ("alignment_data", {"folder": "/nowhere"}, "/nowhere/instructions.jsonl: no such file"),
        ("deduplicated_documents", {"partitions": ["nope/*"]}, "partitions: 'nope/*' matches none of demo/g0000"),
        ("evaluation_items", {"sets": [{"name": "x", "path": "nowhere.jsonl"}]}, "alignment_data: no artifact here"),
        (
            "evaluation_items",
            {"sets": [{"name": "x", "path": "nowhere.jsonl"}], "alignment_heldout": False},
            "nowhere.jsonl: no such file",
        ),
        ("added_documents", {"sources": [{"name": "x", "path": "nowhere"}]}, "nowhere: no such file"),
        ("training_mixture", {}, "token_shards: no artifact here"),
        ("tokenizer", {}, "decontaminated_documents: no artifact here"),
    ],
)
def test_a_mistake_is_one_line(instance, tmp_path, name, config, message):
    description, exit_code = failure(instance, tmp_path, name, config)
    assert message in description
    assert "\n" not in description
    assert exit_code == 2


def test_a_run_longer_than_the_mixture_allows_is_refused(instance, tiny_run, tiny_home):
    """Sixteen epochs of the tiny corpus are fewer tokens than that."""
    description, exit_code = failure(instance, tiny_home, "pretrained_model", {"num_tokens": 10**9})
    assert "pretrained_model: 1,000,000,000 tokens, but training_mixture allows" in description
    assert exit_code == 2


def test_an_unknown_preset_is_told_by_the_child_process(instance, tiny_run, tiny_home):
    description, exit_code = failure(instance, tiny_home, "pretrained_model", {"preset": "tiny_cp"})
    assert "did you mean 'tiny_cpu'" in description
    assert exit_code == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no files named .warc"), (b"", "empty"), (b"just some text\n" * 40, "WARC")],
)
def test_a_folder_without_warc_files_is_named(instance, tmp_path, content, message):
    folder = tmp_path / "crawl"
    folder.mkdir()
    if content is not None:
        (folder / "a.warc.gz").write_bytes(content)
    home = tmp_path / "home"
    instance.add_dynamic_partitions("warc_groups", ["local/g0000"])
    if content is None:
        description, exit_code = failure(instance, home, "warc_files", {"folder": str(folder)}, "local/g0000")
    else:
        listed = dg.materialize(
            [defs.get_assets_def("warc_files")],
            instance=instance,
            resources=defs.resources | {"home": defs.resources["home"].__class__(path=str(home))},
            run_config={"ops": {"warc_files": {"config": {"folder": str(folder)}}}},
            partition_key="local/g0000",
        )
        assert listed.success
        description, exit_code = failure(instance, home, "extracted_documents", {}, "local/g0000")
    instance.delete_dynamic_partition("warc_groups", "local/g0000")
    assert message in description
    assert exit_code == 2


def command(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "assets.demo", *arguments],
        cwd=REPOSITORY,
        env={**{k: v for k, v in os.environ.items() if k != "DAGSTER_HOME"}, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_demo_without_dagster_home_says_what_to_do():
    ended = command()
    assert ended.returncode == 2
    assert ended.stderr == "error: DAGSTER_HOME is not set: run `make demo`, or name a folder for Dagster's records\n"


def test_the_demo_ends_with_the_assets_own_line_and_code(tmp_path):
    ended = command("--num-pages", "0", "--home", str(tmp_path / "home"), DAGSTER_HOME=str(tmp_path / "dagster"))
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1] == "error: demo_crawl: DemoCrawlConfig.num_pages: 0, expected at least 1"
    assert "Traceback" not in ended.stderr


@pytest.mark.fault(18)
def test_the_demo_on_a_full_disk_names_the_asset_and_the_bytes(small_disk, tmp_path):
    ended = command("--home", str(small_disk / "home"), DAGSTER_HOME=str(tmp_path / "dagster"))
    assert ended.returncode == 3
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("error: demo_crawl: ")
    assert "no space left on device; more than" in last
    assert "bytes needed" in last
    assert not list((small_disk / "home" / "artifacts" / "demo_crawl").glob(".staging*"))
    assert "Traceback" not in ended.stderr
