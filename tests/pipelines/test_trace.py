"""The way of one document, told from a small demo crawl that went through the whole refinery."""

import json
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from lm.errors import InputError
from lm.shards import TokenShards
from lm.tokenizer import Tokenizer
from pipelines import layout, trace
from pipelines.engine import DOCUMENTS, REMOVALS
from pipelines.extract import document_id
from pipelines.warc import read_records


@pytest.fixture
def demo(curated_demo):
    return curated_demo


def first_row(artifacts, name, wanted=lambda row: True):
    return next(
        row for artifact in artifacts.values() for row in pq.read_table(artifact.file(name)).to_pylist() if wanted(row)
    )


def only(found):
    assert len(found) == 1
    return found[0]


def test_a_kept_document_leads_to_its_record_and_its_tokens(demo):
    folder, made = demo
    kept = first_row(made["decontaminated_documents"], DOCUMENTS)
    told = only(trace.trace(kept["url"], folder / "home"))
    records = read_records(folder / "crawl" / "warc" / told.record["warc_path"])
    record = next(record for record in records if record.offset == told.record["warc_offset"])
    assert document_id(record.record_id) == told.doc_id == kept["doc_id"] and record.target_uri == told.url
    assert {passage.outcome for passage in told.passages} == {"kept"} and len(told.passages) == 9
    shards = TokenShards.open(made["token_shards"][None], told.tokens["split"])
    (index,) = [i for i, shard in enumerate(shards.shards) if shard.path.name == told.tokens["shard"]]
    ids = shards.shards[index].tokens[told.tokens["start"] : told.tokens["end"]].tolist()
    assert Tokenizer.load(made["tokenizer"][None]).decode(ids[:-1]) == kept["text"]
    assert shards.doc_id(index, told.tokens["row"]) == told.doc_id


def test_scores_stand_beside_their_thresholds(demo):
    folder, made = demo
    kept = first_row(made["decontaminated_documents"], DOCUMENTS)
    found = {passage.stage: passage.found for passage in only(trace.trace(kept["doc_id"], folder / "home")).passages}
    config = next(iter(made["harmless_documents"].values())).config
    assert found["harmful"]["toxic_score"] == kept["toxic_score"]
    assert found["harmful"]["toxic_score_threshold"] == config["toxic_threshold"]
    assert found["language"] == {
        "language": "en", "language_score": kept["language_score"], "language_score_threshold": 0.65
    }  # fmt: skip
    assert "text_bytes" in found["extract"] and "text_bytes" not in found["language"]


@pytest.mark.parametrize("stage", ["language_documents", "heuristic_documents", "harmless_documents"])
def test_a_removed_document_ends_with_its_rule(demo, stage, capsys):
    folder, made = demo
    removed = first_row(made[stage], REMOVALS)
    assert trace.main([removed["doc_id"], "--home", str(folder / "home")]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.split()[:3] == [
        removed["stage"],
        "removed",
        removed["rule"] + ("" if removed["value"] is None else ":"),
    ]
    told = only(trace.trace(removed["url"], folder / "home"))
    assert told.passages[-1].found["value"] == removed["value"] and told.tokens is None


def test_a_near_duplicate_names_the_winner_and_the_winner_names_it(demo, capsys):
    folder, made = demo
    removed = first_row(made["deduplicated_documents"], REMOVALS, lambda row: row["rule"] == "near_duplicate")
    found = only(trace.trace(removed["doc_id"], folder / "home")).passages[-1].found
    assert found["duplicate_of"] == removed["duplicate_of"] and found["value"] == removed["value"]
    trace.main([found["duplicate_url"], "--home", str(folder / "home")])
    assert f"chosen over {removed['url']} (near_duplicate {removed['value']:.4g})" in capsys.readouterr().out


def test_masks_are_told(demo, capsys):
    folder, made = demo
    masked = first_row(made["deduplicated_documents"], DOCUMENTS, lambda row: row["num_pii_email"])
    trace.main([masked["doc_id"], "--home", str(folder / "home")])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  pii")]
    assert f"{masked['num_pii_email']} email" in line and "masked" in line


def test_stages_that_have_not_run_say_so(demo, tmp_path, capsys):
    folder, made = demo
    kept = first_row(made["decontaminated_documents"], DOCUMENTS)
    home = tmp_path / "home"
    for name in ("extracted_documents", "language_documents"):
        shutil.copytree(folder / "home" / "artifacts" / name, home / "artifacts" / name)
    assert trace.main([kept["url"], "--home", str(home)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["heuristics", "not", "yet", "run"]
    for name in made:
        shutil.copytree(folder / "home" / "artifacts" / name, home / "artifacts" / name, dirs_exist_ok=True)
    shutil.rmtree(home / "artifacts" / "token_shards")
    assert trace.main([kept["url"], "--home", str(home)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["tokens", "not", "yet", "run"]


def test_a_document_that_came_later_is_unknown_to_the_stages_after(demo, tmp_path, capsys):
    """Another version of the first artifact: what follows is stale, and says so."""
    folder, made = demo
    home = tmp_path / "home"
    shutil.copytree(folder / "home", home)
    first, second = made["extracted_documents"].values()
    for partition in made["extracted_documents"]:
        shutil.rmtree(layout.artifact_path("extracted_documents", partition, home))
    shutil.copytree(second.path, layout.artifact_path("extracted_documents", "demo/g0000", home))
    row = first_row({None: second}, DOCUMENTS)
    trace.main([row["url"], "--home", str(home)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split() == ["language", "unknown", "to", "it"]
    assert "stale: made from another version of extract's documents" in lines[-1]
    assert first.digest != second.digest


def test_json_says_the_same(demo, capsys):
    folder, made = demo
    kept = first_row(made["decontaminated_documents"], DOCUMENTS)
    trace.main([kept["url"], "--home", str(folder / "home"), "--json"])
    (told,) = json.loads(capsys.readouterr().out)
    assert told["doc_id"] == kept["doc_id"] and told["tokens"]["split"] in ("train", "validation")
    assert [passage["stage"] for passage in told["passages"]][:2] == ["extract", "language"]


def test_an_unknown_url_exits_with_2_and_names_the_nearest(demo):
    folder, made = demo
    url = first_row(made["deduplicated_documents"], DOCUMENTS)["url"]
    run = subprocess.run(
        [sys.executable, "-m", "pipelines.trace", url + "x", "--home", str(folder / "home")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr == f"error: {url}x: no page with this url was extracted; did you mean {url} ?\n"


def test_nothing_there_yet(loam_home):
    with pytest.raises(InputError, match="nothing was extracted yet"):
        trace.trace("https://example.org/")
