"""Reference pages by their URLs, through the index of a server like Common Crawl's, to a trained quality classifier."""

import functools
import gzip

import dagster as dg

from pipelines import common_crawl
from pipelines.fetch.download import Downloader
from pipelines.filters.repetition import THRESHOLDS
from pipelines.filters.trained import measurements
from tests.assets.runs import artifact, materialize
from tests.assets.tables import rows_of
from tests.pipelines import warc_making as making
from tests.pipelines.common_crawl.captured import CRAWL, FILE, QUICK, capture, payload_digest
from tests.pipelines.crawl_server import CrawlServer
from tests.pipelines.filters.test_reference_pages import bad, good, json_lines

NUM_PAGES = 60


def reference_crawl():
    """A WARC file of good pages, and the index's rows for it."""
    members, rows, offset = [], [], 0
    for number in range(NUM_PAGES):
        body = f"<html><body><article><p>{good(number)}</p></article></body></html>".encode()
        digest = payload_digest(body)
        record = making.record(making.response(body), number=number, extra=[f"WARC-Payload-Digest: sha1:{digest}"])
        members.append(gzip.compress(record, mtime=0))
        rows.append(capture(f"https://example.org/{number}", offset, len(members[-1]), digest))
        offset += len(members[-1])
    return {FILE: b"".join(members)}, rows


def test_pages_behind_urls_are_fetched_and_learned_from(tmp_path, monkeypatch):
    files, rows = reference_crawl()
    urls = tmp_path / "urls.txt"
    urls.write_text("".join(f"https://example.org/{number}\n" for number in range(NUM_PAGES + 3)))
    config = {
        "reference_urls": str(urls),
        "reference_crawl": CRAWL,
        "crawl_pages": [json_lines(tmp_path / "crawl.jsonl", map(bad, range(200, 260)))],
        "filters": {"repetition": {"overrides": dict.fromkeys(THRESHOLDS)}},
        "classifier": {"min_examples_seen": 2_000, "num_buckets": 1_000},
    }
    with (
        CrawlServer(files) as server,
        Downloader(QUICK) as downloader,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        server.captures[CRAWL] = rows
        local = functools.partial(
            common_crawl.fetch_pages, index_url=server.url, data_url=server.url, downloader=downloader
        )
        monkeypatch.setattr(common_crawl, "fetch_pages", local)
        made = materialize(instance, tmp_path / "home", ["quality_classifier"], config={"quality_classifier": config})
        asked = len(server.requests)
        again = materialize(instance, tmp_path / "home", ["quality_classifier"], config={"quality_classifier": config})
    assert made.success and again.success
    assert asked > NUM_PAGES and len(server.requests) == asked  # what is fetched is not fetched again
    trained = artifact(tmp_path / "home", "quality_classifier")
    assert measurements(trained)["quality"]["roc_auc"] > 0.99
    (shown,) = made.asset_materializations_for_node("quality_classifier")
    rates = rows_of(shown.metadata["rates"])[0]
    assert rates["precision"] == trained.summary["quality_precision"] > 0.9
    assert rates["recall"] == trained.summary["quality_recall"] > 0.9
    assert trained.summary["built_in_labels"] is False
