"""The crawl as a whole: same bytes from the same seed, refusals, shares, the command line."""

import errno
import hashlib
import json
import subprocess
import sys

import pytest

from lm.errors import ConfigurationError, InputError, NoSpaceError
from pipelines.demo_crawl import DemoCrawlConfig, write_demo_crawl
from pipelines.demo_crawl.__main__ import main
from pipelines.demo_crawl.plan import SHARES
from tests.conftest import REPOSITORY
from tests.pipelines.demo_crawl.conftest import SMALL

TINY = {**dict.fromkeys(SMALL, 20), "num_pages": 120, "num_warc_files": 2}


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    counts = [write_demo_crawl(DemoCrawlConfig(seed=5, **TINY), tmp_path / name) for name in ("a", "b")]
    assert counts[0] == counts[1]
    assert digests(tmp_path / "a") == digests(tmp_path / "b")
    assert set(digests(tmp_path / "a")) == {
        "warc/demo-00000.warc.gz",
        "warc/demo-00001.warc.gz",
        "truth.parquet",
        "instructions.jsonl",
        "preferences.jsonl",
        "problems.jsonl",
        "harmful_labels.jsonl",
        "quality_labels.jsonl",
    }


def test_the_same_bytes_under_another_hash_seed(tmp_path):
    write_demo_crawl(DemoCrawlConfig(num_pages=40, num_warc_files=2), tmp_path / "here")
    command = [sys.executable, "-m", "pipelines.demo_crawl", "--num-pages", "40", "--num-warc-files", "2", "--out"]
    done = subprocess.run(
        [*command, tmp_path / "there"], env={"PYTHONHASHSEED": "99"}, cwd=REPOSITORY, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "here") == digests(tmp_path / "there")
    assert json.loads(done.stdout)["num_pages"] == 40


def test_another_seed_gives_other_pages(tmp_path):
    for seed in (1, 2):
        write_demo_crawl(DemoCrawlConfig(seed=seed, **TINY), tmp_path / str(seed))
    first, second = digests(tmp_path / "1"), digests(tmp_path / "2")
    assert all(first[name] != second[name] for name in first)


def test_every_world_has_its_share(demo_crawl):
    worlds = demo_crawl.counts["num_pages_by_world"]
    num_pages = demo_crawl.config.num_pages
    for world in ("forum", "spam", "toxic", "adult", "de", "fr", "es", "it"):
        assert abs(worlds[world] - SHARES[world] * num_pages) <= 1
    assert demo_crawl.counts["num_pages_by_duplicates"] == {"exact": 12, "near": 18}
    assert 0.05 < demo_crawl.counts["num_pages_with_pii"] / num_pages < 0.12


def test_progress_is_reported(tmp_path):
    events = []
    write_demo_crawl(DemoCrawlConfig(seed=5, **{**TINY, "num_pages": 501}), tmp_path / "crawl", events.append)
    assert [event["num_pages"] for event in events] == [500]


def test_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(InputError, match="not empty"):
        write_demo_crawl(DemoCrawlConfig(**TINY), tmp_path)
    with pytest.raises(InputError, match="a file"):
        write_demo_crawl(DemoCrawlConfig(**TINY), tmp_path / "mine.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_pages": 0}, r"num_pages: 0"),
        ({"num_pages": 3, "num_warc_files": 4}, r"4 files, expected at most"),
        ({"pii_share": 1.5}, r"pii_share: 1.5"),
        ({"num_train_problems": -1}, r"num_train_problems: -1"),
    ],
)
def test_impossible_sizes_are_refused(fields, message):
    with pytest.raises(ConfigurationError, match=message):
        DemoCrawlConfig(**fields)


def test_a_crawl_may_be_tiny(tmp_path):
    counts = write_demo_crawl(DemoCrawlConfig(**{**TINY, "num_pages": 1, "num_warc_files": 1}), tmp_path / "one")
    assert counts["num_pages"] == 1


def test_the_command_prints_its_counts(tmp_path, capsys):
    assert main(["--out", str(tmp_path / "crawl"), "--num-pages", "1_0", "--num-warc-files", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["num_pages"] == 10


def test_the_command_leaves_nothing_half_done(tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pipelines.demo_crawl.write.truth_row", stop)
    with pytest.raises(KeyboardInterrupt):
        main(["--out", str(tmp_path / "crawl"), "--num-pages", "10"])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pipelines.demo_crawl.write.exchange", full)
    with pytest.raises(NoSpaceError, match="no space left"):
        write_demo_crawl(DemoCrawlConfig(**TINY), tmp_path / "crawl")
