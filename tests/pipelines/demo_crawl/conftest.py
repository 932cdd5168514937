"""One small demo crawl for the tests that only read it."""

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.demo_crawl import DemoCrawlConfig, write_demo_crawl


@dataclass(frozen=True)
class DemoCrawl:
    """A crawl as it lies on disk."""

    folder: Path
    config: DemoCrawlConfig
    counts: dict
    truth: pa.Table

    @property
    def rows(self) -> list[dict]:
        return self.truth.to_pylist()

    def json_lines(self, name: str) -> list[dict]:
        return [json.loads(line) for line in (self.folder / name).read_text(encoding="utf-8").splitlines()]


SMALL = {
    "num_pages": 600,
    "num_warc_files": 3,
    "num_harmful_labels": 200,
    "num_quality_labels": 200,
    "num_train_instructions": 600,
    "num_heldout_instructions": 60,
    "num_train_preferences": 300,
    "num_heldout_preferences": 40,
    "num_train_problems": 600,
    "num_heldout_problems": 60,
}


@pytest.fixture(scope="session")
def demo_crawl(tmp_path_factory) -> DemoCrawl:
    folder = tmp_path_factory.mktemp("demo_crawl") / "crawl"
    config = DemoCrawlConfig(seed=3, **SMALL)
    counts = write_demo_crawl(config, folder)
    return DemoCrawl(folder, config, counts, pq.read_table(folder / "truth.parquet"))
