"""User mistakes: one clear line, the exit code, and nothing published."""

import pytest

from tests.assets.runs import failure, materialize


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("quality_classifier", {"labels": "nowhere.jsonl"}, "nowhere.jsonl: no such file"),
        ("alignment_data", {"folder": "/nowhere"}, "/nowhere/instructions.jsonl: no such file"),
        ("unique_documents", {"partitions": ["nope/*"]}, "partitions: 'nope/*' matches none of demo/g0000"),
        ("evaluation_items", {"sets": [{"name": "x", "path": "nowhere.jsonl"}]}, "alignment_data: no artifact here"),
        (
            "evaluation_items",
            {"sets": [{"name": "x", "path": "nowhere.jsonl"}], "alignment_heldout": False},
            "nowhere.jsonl: no such file",
        ),
        ("added_documents", {"sources": [{"name": "x", "path": "nowhere"}]}, "nowhere: no such file"),
        ("training_mixture", {}, "token_shards: no artifact here"),
        ("tokenizer", {}, "clean_documents: no artifact here"),
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


@pytest.mark.fault(46)
@pytest.mark.parametrize(
    ("name", "values", "line"),
    [
        ("demo_crawl", {"num_pages": 0}, "demo_crawl: DemoCrawlConfig.num_pages: 0, expected at least 1"),
        ("pretrained_model", {"model": {"d_model": 0}}, "pretrained_model: model.d_model: 0, expected 1 to 2^20"),
        ("sft_model", {"max_examples": 0}, "sft_model: SFTConfig.max_examples: 0, expected at least 1"),
        ("grpo_model", {"batch_size": 2, "updates_per_rollout": 3}, "grpo_model: updates_per_rollout: 3, expected at"),
    ],
)
def test_a_setting_out_of_range_is_refused(instance, tmp_path, name, values, line):
    description, exit_code = failure(instance, tmp_path, name, values)
    assert description.startswith(line) and exit_code == 2


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
        listed = materialize(instance, home, ["warc_files"], "local/g0000", {"warc_files": {"folder": str(folder)}})
        assert listed.success
        description, exit_code = failure(instance, home, "raw_documents", {}, "local/g0000")
    instance.delete_dynamic_partition("warc_groups", "local/g0000")
    assert message in description
    assert exit_code == 2
