"""Real WARC files through the same assets: a local folder, and a server laid out like Common Crawl's, to tokens."""

import gzip
import re
import shutil

import dagster as dg
import pytest
import yaml

from lm.shards import TokenShards
from pipelines.documents.tables import DOCUMENTS
from pipelines.documents.view import read_table
from tests.assets.runs import artifact, failure, materialize
from tests.conftest import REPOSITORY
from tests.pipelines.crawl_server import CrawlServer
from tests.pipelines.published import rows_of

CRAWL = "CC-MAIN-2024-22"
NAMES = ("warc_files", "raw_documents", "language_documents", "prose_documents", "varied_documents")
LANGUAGES = ("an", "de", "en", "es", "fr", "it", "ja", "la", "nl", "pt", "ru", "zh", "ca")


@pytest.fixture
def own_instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def recipe_of(asset):
    """The configuration of a classifier in docs/real_labels.md."""
    page = (REPOSITORY / "docs" / "real_labels.md").read_text()
    recipes = [yaml.safe_load(block)["ops"] for block in re.findall(r"^```yaml .*?\n(.*?)^```", page, re.S | re.M)]
    return next(each[asset]["config"] for each in recipes if asset in each)


def test_a_folder_of_real_warcs_becomes_tokens(shared_data, own_instance, tiny_run, tiny_home, tmp_path):
    folder, home = tmp_path / "warcs", tmp_path / "home"
    folder.mkdir()
    for relative in (
        "crawl/commoncrawl/whirlwind.warc.gz",
        "crawl/resiliparse/warcfile.warc.gz",
        "crawl/wget/sample-0000.warc.gz",
        "crawl/wget/sample-0001.warc.gz",
    ):
        shutil.copyfile(shared_data(relative), folder / relative.split("/")[-1])
    partition = "captures/g0000"
    own_instance.add_dynamic_partitions("warc_groups", [partition])
    for name in ("quality_classifier", "harm_classifiers", "alignment_data"):
        shutil.copytree(tiny_home / "artifacts" / name, home / "artifacts" / name)
    config = {
        "warc_files": {"folder": str(folder), "files_per_group": 4},
        "language_documents": {"languages": list(LANGUAGES), "threshold": 0.2},
    }
    assert materialize(own_instance, home, NAMES, partition, config).success
    # The demo's classifiers are refused, each by its own step; real labels are not.
    for name in ("harmless_documents", "quality_documents"):
        description, _ = failure(own_instance, home, name, {}, partition)
        assert description.startswith("captures/g0000: ") and "expected labels of real pages" in description, name
        assert materialize(own_instance, home, [name], partition, {name: {"judge": "none"}}).success
    recipe = recipe_of("harm_classifiers")
    recipe["toxic"]["path"] = str(shared_data(f"toxicity/{recipe['toxic']['path']}"))
    assert materialize(own_instance, home, ["harm_classifiers"], config={"harm_classifiers": recipe}).success
    assert 0.9 < artifact(home, "harm_classifiers").summary["toxic_precision"] < 1
    stages = ("harmless_documents", "quality_documents", "masked_documents")
    unjudged = {"quality_documents": {"judge": "none"}}
    assert materialize(own_instance, home, stages, partition, unjudged).success
    scores = read_table(artifact(home, "masked_documents", partition), ["toxic_score", "quality_score"])
    assert scores.column("toxic_score").null_count == 0 and scores.num_rows >= 20
    assert scores.column("quality_score").null_count == scores.num_rows
    extracted = artifact(home, "raw_documents", partition).summary
    assert extracted["num_in"] == extracted["num_kept"] + extracted["num_removed"] + extracted["num_lost"]
    assert extracted["num_in"] >= 54
    assert extracted["num_kept"] >= 20
    tokens = (
        "evaluation_items",
        "added_documents",
        "unique_documents",
        "clean_documents",
        "tokenizer",
        "token_shards",
    )
    gsm8k = {"name": "gsm8k", "path": str(shared_data("gsm8k/test.jsonl"))}
    small = {
        "evaluation_items": {"sets": [gsm8k]},
        "tokenizer": {"vocab_size": 500},
        "token_shards": {"validation_share": 0.2},
    }
    assert materialize(own_instance, home, tokens, config=small).success
    corpus = artifact(home, "clean_documents")
    assert corpus.summary["evaluation_sets"]["gsm8k"]["num_sought"] == 1319
    shards = artifact(home, "token_shards")
    opened = [TokenShards.open(shards, split) for split in ("train", "validation")]
    assert sum(split.num_documents for split in opened) == corpus.summary["num_kept"] > 0
    assert shards.summary["num_round_trip_failures"] == 0
    sources = set(read_table(corpus, ["warc_path"]).column("warc_path").to_pylist())
    assert len(sources) >= 2


@pytest.mark.parametrize(("kind", "suffix"), [("warc", "warc.gz"), ("wet", "warc.wet.gz")])
def test_common_crawls_own_capture_is_downloaded_and_extracted(shared_data, own_instance, tmp_path, kind, suffix):
    path = f"crawl-data/{CRAWL}/segments/1715971057216.39/{kind}/{CRAWL}-00000.{suffix}"
    files = {
        f"crawl-data/{CRAWL}/{kind}.paths.gz": gzip.compress(f"{path}\n".encode()),
        path: shared_data(f"crawl/commoncrawl/whirlwind.{suffix}").read_bytes(),
    }
    partition = f"{CRAWL}/g0000"
    own_instance.add_dynamic_partitions("warc_groups", [partition])
    with CrawlServer(files) as server:
        config = {"warc_files": {"base_url": server.url, "files_per_group": 1, "file_kind": kind}}
        assert materialize(own_instance, tmp_path, NAMES[:2], partition, config).success
        requests = len(server.requests)
        assert materialize(own_instance, tmp_path, NAMES[:2], partition, config).success
        assert len(server.requests) == requests
    extracted = artifact(tmp_path, "raw_documents", partition)
    rows = rows_of(extracted, DOCUMENTS)
    assert [row["url"] for row in rows] == ["https://an.wikipedia.org/wiki/Escopete"]
    assert "Escopete" in rows[0]["text"]
    assert rows[0]["crawl"] == CRAWL
    assert rows[0]["fetched_at"].startswith("2024-05-18T01:58:10")
