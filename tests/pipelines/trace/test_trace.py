"""Traces of documents of a small demo crawl after the whole curation."""

import json
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lm.configuration import to_mapping
from lm.errors import InputError
from lm.shards import TokenShards
from lm.storage import open_artifact, publish
from lm.tokenizer import Tokenizer
from lm.training.config import PretrainConfig
from lm.training.reading_order import make_reading_order
from pipelines import paths
from pipelines.decontamination.corpus import decontaminate_corpus
from pipelines.decontamination.items import EvaluationSet, publish_evaluation_items
from pipelines.documents.tables import CLUSTERS, DOCUMENTS, REMOVALS, TEXTS, VERDICTS
from pipelines.documents.verdicts import TEXT_SCHEMA
from pipelines.extract.partition import extract_partition
from pipelines.extract.records import document_id
from pipelines.sources.added_documents import DocumentSource, publish_added_documents
from pipelines.tokens.shards import TokenizeConfig, write_token_shards
from pipelines.trace import trace
from pipelines.warc.records import read_records
from tests.pipelines import warc_making as making
from tests.pipelines.published import rows_of


@pytest.fixture
def demo(curated_demo):
    return curated_demo


def first_row(artifacts, name, wanted=lambda row: True):
    return next(row for artifact in artifacts.values() for row in rows_of(artifact, name) if wanted(row))


def only(found):
    assert len(found) == 1
    return found[0]


def test_a_kept_document_leads_to_its_record_and_its_tokens(demo):
    folder, made = demo
    kept = first_row(made["clean_documents"], DOCUMENTS)
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
    kept = first_row(made["clean_documents"], DOCUMENTS)
    found = {passage.stage: passage.found for passage in only(trace.trace(kept["doc_id"], folder / "home")).passages}
    config = next(iter(made["harmless_documents"].values())).config
    assert found["harmful"]["toxic_score"] == kept["toxic_score"]
    assert found["harmful"]["toxic_score_threshold"] == config["toxic_threshold"]
    assert found["language"] == {
        "language": "en", "language_score": kept["language_score"], "language_score_threshold": 0.65
    }  # fmt: skip
    assert "text_bytes" in found["extract"] and "text_bytes" not in found["language"]


@pytest.mark.parametrize("stage", ["language_documents", "prose_documents", "harmless_documents"])
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
    removed = first_row(made["unique_documents"], REMOVALS, lambda row: row["rule"] == "near_duplicate")
    found = only(trace.trace(removed["doc_id"], folder / "home")).passages[-1].found
    assert found["duplicate_of"] == removed["duplicate_of"] and found["value"] == removed["value"]
    trace.main([found["duplicate_url"], "--home", str(folder / "home")])
    assert f"chosen over {removed['url']} (near_duplicate {removed['value']:.4g})" in capsys.readouterr().out


def test_masks_are_told(demo, capsys):
    folder, made = demo
    masked = first_row(made["unique_documents"], DOCUMENTS, lambda row: row["num_pii_email"])
    trace.main([masked["doc_id"], "--home", str(folder / "home")])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  pii")]
    assert f"{masked['num_pii_email']} email" in line and "masked" in line


def test_stages_that_have_not_run_say_so(demo, tmp_path, capsys):
    folder, made = demo
    kept = first_row(made["clean_documents"], DOCUMENTS)
    home = tmp_path / "home"
    for name in ("raw_documents", "language_documents"):
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
    first, second = made["raw_documents"].values()
    for partition in made["raw_documents"]:
        shutil.rmtree(paths.artifact_path("raw_documents", partition, home))
    shutil.copytree(second.path, paths.artifact_path("raw_documents", "demo/g0000", home))
    row = first_row({None: second}, DOCUMENTS)
    trace.main([row["url"], "--home", str(home)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split() == ["language", "not", "in", "this", "artifact"]
    assert "stale: made from another version of extract's documents" in lines[-1]
    assert first.digest != second.digest


def test_what_was_shared_with_evaluation_items_is_told(demo, tmp_path, capsys):
    """A question that stands in a kept page is cut out of it, and the trace says which, where and how much."""
    folder, made = demo
    (unique,) = made["unique_documents"].values()
    home = tmp_path / "home"
    shutil.copytree(folder / "home", home)
    page = first_row({None: unique}, DOCUMENTS, lambda row: len(row["text"]) > 1500)
    words = page["text"].split()
    exam = tmp_path / "exam.jsonl"
    exam.write_text(json.dumps({"id": "q7", "question": " ".join(words[100:120])}) + "\n")
    items = publish_evaluation_items([EvaluationSet(name="exam", path=str(exam))], home / "artifacts/evaluation_items")
    decontaminate_corpus(unique, items, paths.artifact_path("clean_documents", root=home))
    trace.main([page["doc_id"], "--home", str(home)])
    out = capsys.readouterr().out
    assert "decontaminate" in out and "cut 1 shared passages" in out
    assert "words of exam q7 at characters" in out and "tokens      " in out and "stale" in out


@pytest.mark.parametrize("body", [b"<html><script>x</script></html>", b"%PDF-1.7"])
def test_a_page_removed_at_extraction_leads_to_its_record(tmp_path, capsys, body):
    parts = making.members([*making.pages(1), making.record(making.response(body), number=7)])
    target = paths.artifact_path("raw_documents", "demo/g0000", tmp_path)
    extract_partition([making.write(tmp_path / "x.warc.gz", *parts)], "demo/g0000", target)
    trace.main(["https://example.org/7", "--home", str(tmp_path)])
    out = capsys.readouterr().out
    assert f"x.warc.gz at byte {len(parts[0]):,}" in out and "fetched 2024-05-18T01:58:10Z" in out
    assert "removed  " in out


def test_a_document_of_another_collection_begins_at_its_file(demo, tmp_path, capsys):
    folder, made = demo
    (unique,) = made["unique_documents"].values()
    home = tmp_path / "home"
    shutil.copytree(folder / "home", home)
    books = tmp_path / "books.jsonl"
    books.write_text('{"text": " "}\n{"text": "The herons of the river left early."}\n')
    target = paths.artifact_path("added_documents", root=home)
    added = publish_added_documents([DocumentSource(name="books", path=str(books))], target)
    items = open_artifact(home / "artifacts/evaluation_items")
    target = paths.artifact_path("clean_documents", root=home)
    documents = decontaminate_corpus(unique, items, target, added=added)
    target = paths.artifact_path("token_shards", root=home)
    write_token_shards(documents, made["tokenizer"][None], target, TokenizeConfig(validation_share=0))
    trace.main(["books:books.jsonl#2", "--home", str(home)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split() == ["source", "books"] and lines[3].split() == ["record", "books.jsonl,", "row", "2"]
    assert [line.split()[0] for line in lines[4:7]] == ["added", "decontaminate", "tokens"]
    trace.main(["books:books.jsonl#1", "--home", str(home)])
    assert capsys.readouterr().out.splitlines()[-1].split() == ["added", "removed", "empty"]


def test_the_training_steps_are_those_whose_windows_hold_the_document(demo, tmp_path, capsys):
    """Read off the order of reading window by window, of a run of two epochs."""
    folder, made = demo
    home = tmp_path / "home"
    shutil.copytree(folder / "home", home)
    shards = made["token_shards"][None]
    training = TokenShards.open(shards, "train")
    num_tokens = 2 * training.num_tokens
    config = PretrainConfig(preset="test", model={"context_length": 64}, num_tokens=num_tokens, batch_size=4)
    target = paths.artifact_path("pretrained_model", root=home)
    made_of = {"kind": "pretrained_model", "config": to_mapping(config), "inputs": {"token_shards": shards.digest}}
    with publish(target, **made_of, code=""):
        pass
    doc_id = training.doc_id(0, 3)
    told = only(trace.trace(doc_id, home)).training
    order = make_reading_order(training, packing=config.packing, context_length=64, seed=config.seed)
    start, end = order.sources[0].stream.span_of(doc_id)
    expected = set()
    for number in range(config.steps(64) * 4):
        pieces = order.window(order.next()).pieces
        if any(first < end and start < last for first, last in pieces.tolist()):
            expected.add(number // 4 + 1)
    assert told == {"steps": sorted(expected), "num_steps": config.steps(64)}
    trace.main([doc_id, "--home", str(home)])
    assert f"read in {len(expected)} of {config.steps(64):,} steps: {min(expected)}" in capsys.readouterr().out
    held_out = TokenShards.open(shards, "validation").doc_id(0, 0)
    trace.main([held_out, "--home", str(home)])
    assert capsys.readouterr().out.splitlines()[-1].split() == ["training", "held", "out", "for", "validation"]


def test_lines_that_a_step_dropped_are_told(demo, tmp_path, capsys):
    """A document whose text lost whole lines; any other change is none of lines."""
    assert trace.dropped_lines("a\nb\nb\n\nc", "a\nb") == ["b", "c"]
    assert trace.dropped_lines("a\nb", "a\nB") == [] and trace.dropped_lines("a", "a") == []
    folder, made = demo
    (unique,) = made["unique_documents"].values()
    home = tmp_path / "home"
    shutil.copytree(folder / "home", home)
    document = next(row for row in rows_of(unique) if row["text"].count("\n") > 1)
    first, _, rest = document["text"].partition("\n")
    place = pq.read_table(unique.file(VERDICTS)).column("doc_id").to_pylist().index(document["doc_id"])
    changed = pa.Table.from_pylist([{"row": place, "doc_id": document["doc_id"], "text": rest}], schema=TEXT_SCHEMA)
    made_of = {"kind": unique.kind, "config": unique.config, "inputs": unique.inputs, "code": ""}
    with publish(paths.artifact_path("unique_documents", root=home), **made_of) as publication:
        pq.write_table(changed, publication.path / TEXTS)
        for name in (VERDICTS, CLUSTERS):
            shutil.copyfile(unique.file(name), publication.path / name)
        publication.summary.update(unique.summary)
    trace.main([document["doc_id"], "--home", str(home)])
    assert f"dropped the line “{first[:60]}" in capsys.readouterr().out


def test_json_says_the_same(demo, capsys):
    folder, made = demo
    kept = first_row(made["clean_documents"], DOCUMENTS)
    trace.main([kept["url"], "--home", str(folder / "home"), "--json"])
    (told,) = json.loads(capsys.readouterr().out)
    assert told["doc_id"] == kept["doc_id"] and told["tokens"]["split"] in ("train", "validation")
    assert [passage["stage"] for passage in told["passages"]][:2] == ["extract", "language"]


def test_an_unknown_url_exits_with_2_and_names_the_nearest(demo):
    folder, made = demo
    url = first_row(made["unique_documents"], DOCUMENTS)["url"]
    run = subprocess.run(
        [sys.executable, "-m", "pipelines.trace", url + "x", "--home", str(folder / "home")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr == f"error: {url}x: no extracted page has this url; did you mean {url} ?\n"


def test_nothing_there_yet(loam_home):
    with pytest.raises(InputError, match="no pages have been extracted yet"):
        trace.trace("https://example.org/")
