"""The trace of one document through every stage: `python -m pipelines.trace URL_or_doc_id`.

A trace has the place in the WARC file, the findings of every stage, masked data, the winning near-duplicate and
passages shared with evaluation items. It ends with the place of the tokens and the training steps that read them, or
with the rule that removed the document. A stage that has not run yet is marked so. A URL with several documents
(captured twice, say) has several traces. Nothing is written; columns are read, not whole files, after each file's
sha256 was checked.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pyarrow.compute as pc
import pyarrow.parquet as pq

from lm.errors import InputError, run_command
from lm.storage import MANIFEST, Artifact, find_artifact
from lm.store_access import request
from pipelines import paths
from pipelines.curation.settings import AddedSources
from pipelines.curation.steps import CURATION, Step
from pipelines.decontamination.corpus import MATCHES
from pipelines.documents.schema import DOCUMENT_SCHEMA, MEASURED, is_doc_id
from pipelines.documents.tables import CLUSTERS, DOCUMENTS, REMOVALS
from pipelines.documents.view import find_verdict
from pipelines.sources.added_documents import STAGE as ADDED_STAGE
from pipelines.trace.text import render
from pipelines.trace.tokens import find_tokens, find_training_steps, stale

KEPT, REMOVED, NOT_YET_RUN, UNKNOWN = "kept", "removed", "not yet run", "not in this artifact"
"""The outcomes of a stage for one document; the last means that the stage has run, but without this document."""

_REMOVAL_FIELDS = ("rule", "value", "threshold", "duplicate_of")
_FIRST = CURATION[0]
_ADDED = Step(
    stage=ADDED_STAGE,
    artifact="added_documents",
    config=AddedSources,
    description="Documents of other collections than the crawl.",
    purpose="documents of other collections",
    partitioned=False,
)
"""The first step of added documents, which join the crawl's documents at the last step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """One stage's passage of the document: the outcome and the findings."""

    stage: str
    artifact: str
    outcome: str
    found: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """The trace of one document: `record` is its source, `passages` the outcome of each stage, `tokens` its place in
    the shards, `training` the pre-training steps that read it.
    """

    doc_id: str
    url: str
    partition: str
    record: Mapping[str, Any]
    passages: Sequence[Passage]
    tokens: Mapping[str, Any] | None
    training: Mapping[str, Any] | None


def trace(sought: str, root: Path | None = None) -> list[Trace]:
    """Return the traces of all documents with this URL or doc_id, below the home folder `root`.

    Raises:
        InputError: no pages have been extracted yet, or no document has this URL or doc_id; names the nearest URL.
        IntegrityError: an artifact is damaged.
    """
    root = root or paths.home()
    partitions = list(_partitions(root))
    added = _open(root, _ADDED, "")
    if not partitions and added is None:
        raise InputError(f"{paths.artifact_path(_FIRST.artifact, root=root)}: no pages have been extracted yet")
    column = "doc_id" if is_doc_id(sought) else "url"
    found = [
        _follow(root, partition, row, CURATION)
        for partition in partitions
        for row in _first_rows(_open(root, _FIRST, partition), column, sought)
    ]
    found += [_follow(root, "", row, (_ADDED, CURATION[-1])) for row in _first_rows(added, column, sought)]
    if not found:
        raise InputError(f"{sought}: no extracted page has this {column}{_nearest(root, partitions, sought)}")
    return found


def main(argv: list[str] | None = None) -> int:
    """Print the trace of one document."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.trace",
        description="Trace one document through every step, from its WARC record to the training steps that read it.",
    )
    parser.add_argument("document", help="a URL, or a doc_id (the UUID of the WARC-Record-ID)")
    parser.add_argument("--home", type=paths.root_at, help="home folder or store (default: $LOAM_HOME or .loam)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args(argv)
    traces = trace(arguments.document, arguments.home)
    if arguments.json:
        json.dump([asdict(each) for each in traces], sys.stdout, indent=2, ensure_ascii=False)
        print()
    else:
        print("\n\n".join(render(asdict(each)) for each in traces))
    return 0


def command() -> NoReturn:
    """Run the console script `loam-trace`."""
    run_command(main)


def _partitions(root: Path) -> Iterator[str]:
    """Yield the keys of all partitions that were extracted."""
    folder = paths.artifact_path(_FIRST.artifact, root=root)
    for manifest in request(folder, lambda: sorted(folder.glob(f"*/g*/{MANIFEST}"))):
        yield manifest.parent.relative_to(folder).as_posix()


def _open(root: Path, step: Step, partition: str) -> Artifact | None:
    """Return the artifact of a step; None if it has not been made yet."""
    path = paths.artifact_path(step.artifact, partition if step.partitioned else None, root)
    return find_artifact(path)


def _first_rows(artifact: Artifact | None, column: str, sought: str) -> list[dict[str, Any]]:
    """Return the documents, and the pages without text, with this id or URL, and where their records are."""
    if artifact is None:
        return []
    names = [name for name in DOCUMENT_SCHEMA.names if name != "text"]
    kept = _rows(artifact, DOCUMENTS, column, sought, names)
    placed = [name for name in names if name in pq.read_schema(artifact.file(REMOVALS)).names]
    return kept + _rows(artifact, REMOVALS, column, sought, placed)


def _rows(
    artifact: Artifact, name: str, column: str, sought: str, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of a table with one value in `column`; row groups whose statistics exclude it are not read."""
    table = pq.read_table(artifact.file(name), columns=columns, filters=pc.field(column) == sought)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _follow(root: Path, partition: str, first: Mapping[str, Any], steps: Sequence[Step]) -> Trace:
    """Return the passages of one document through `steps`, up to the one that ended it or has not run."""
    passages: list[Passage] = []
    known: dict[str, Any] = {}
    previous: Artifact | None = None
    for step in steps:
        artifact = _open(root, step, partition)
        passages.append(_passage(step, artifact, previous, first["doc_id"], known))
        if passages[-1].outcome != KEPT:
            break
        previous = artifact
    tokens = find_tokens(root, previous, first["doc_id"]) if passages[-1].outcome == KEPT else None
    return Trace(
        doc_id=first["doc_id"],
        url=first["url"],
        partition=partition,
        record={name: first[name] for name in ("crawl", "warc_path", "warc_offset", "fetched_at") if name in first},
        passages=passages,
        tokens=tokens,
        training=find_training_steps(root, first["doc_id"]) if tokens and tokens["split"] == "train" else None,
    )


def _passage(
    step: Step, artifact: Artifact | None, source: Artifact | None, doc_id: str, known: dict[str, Any]
) -> Passage:
    """Return one stage's verdict; `known` is the document as the stage before left it, and becomes what this one
    leaves.
    """
    if artifact is None:
        return Passage(stage=step.stage, artifact=step.artifact, outcome=NOT_YET_RUN)
    note = stale(artifact, source)
    verdict = find_verdict(artifact, doc_id)
    if verdict is None:
        return Passage(stage=step.stage, artifact=step.artifact, outcome=UNKNOWN, found=note)
    if not verdict.pop("kept"):
        found = _removal(artifact, verdict) | _shared(artifact, doc_id) | note
        return Passage(stage=step.stage, artifact=step.artifact, outcome=REMOVED, found=found)
    document = known | {name: value for name, value in verdict.items() if _is_shown(name)}
    found = _verdict(artifact, document, known) | _beaten(artifact, doc_id) | _shared(artifact, doc_id) | note
    known.update(document)
    return Passage(stage=step.stage, artifact=step.artifact, outcome=KEPT, found=found)


def _is_shown(name: str) -> bool:
    return name not in _REMOVAL_FIELDS and not name.startswith(MEASURED)


def _verdict(artifact: Artifact, document: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the findings of a stage: its columns, the threshold of each score, and the size of a changed text."""
    found: dict[str, Any] = {}
    for name in (name for name in document if name not in known and name not in DOCUMENT_SCHEMA.names):
        found[name] = document[name]
        for key in (name.replace("_score", "_threshold"), "threshold"):
            if name.endswith("_score") and key in artifact.config:
                found[f"{name}_threshold"] = artifact.config[key]
                break
    if document["text"] != known.get("text"):
        found["text_bytes"] = len(document["text"].encode())
        dropped = dropped_lines(known.get("text", ""), document["text"])
        if dropped:
            found["dropped_lines"] = dropped
    return found


def dropped_lines(before: str, after: str) -> list[str]:
    """Return the lines that a step dropped, in their order; none where it changed the text otherwise than line by
    line.
    """
    left = Counter(after.split("\n"))
    if left - Counter(before.split("\n")):
        return []
    dropped = []
    for line in before.split("\n"):
        if left[line]:
            left[line] -= 1
        elif line.strip():
            dropped.append(line)
    return dropped


def _removal(artifact: Artifact, removal: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rule with its measured value; for a duplicate also the winner, and the kept document if the winner was
    removed too.
    """
    found = {name: removal[name] for name in ("rule", "value", "threshold") if removal[name] is not None}
    winner = removal["duplicate_of"]
    if winner is None:
        return found
    found |= {"duplicate_of": winner, "duplicate_url": _url(artifact, winner)}
    final = _last_winner(artifact, winner)
    return found if final == winner else {**found, "stayed": final, "stayed_url": _url(artifact, final)}


def _last_winner(artifact: Artifact, doc_id: str) -> str:
    """Return the document at the end of a chain of removals; each step of deduplication sees fewer documents, so the
    chain ends.
    """
    seen: set[str] = set()
    while doc_id not in seen:
        seen.add(doc_id)
        verdict = find_verdict(artifact, doc_id) or {}
        doc_id = verdict.get("duplicate_of") or doc_id
    return doc_id


def _url(artifact: Artifact, doc_id: str) -> str | None:
    for row in _rows(artifact, CLUSTERS, "doc_id", doc_id, ["url"]):
        return str(row["url"])
    return None


def _beaten(artifact: Artifact, doc_id: str) -> dict[str, Any]:
    """Return the removed duplicates of a kept document."""
    if CLUSTERS not in artifact.files:
        return {}
    members = _rows(artifact, CLUSTERS, "cluster_id", doc_id, ["url", "rule", "jaccard", "winner"])
    losers = [{name: member[name] for name in ("url", "rule", "jaccard")} for member in members if not member["winner"]]
    return {"chosen_over": losers} if losers else {}


def _shared(artifact: Artifact, doc_id: str) -> dict[str, Any]:
    """Return the passages that a document shares with evaluation items."""
    if MATCHES not in artifact.files:
        return {}
    columns = ["evaluation_set", "item", "field", "ngram", "num_words", "start", "end", "outcome"]
    rows = _rows(artifact, MATCHES, "doc_id", doc_id, columns)
    return {"shared": rows} if rows else {}


def _nearest(root: Path, partitions: Sequence[str], sought: str) -> str:
    """Return a hint at the most similar URL, looked for on the same host where there is one."""
    host = urlsplit(sought).netloc
    urls: list[str] = []
    num_lost = 0
    for partition in partitions:
        artifact = _open(root, _FIRST, partition)
        if artifact is not None:
            num_lost += artifact.summary["num_lost"]
            for name in (DOCUMENTS, REMOVALS):
                urls += pq.read_table(artifact.file(name), columns=["url"]).column("url").to_pylist()
    same_host = [url for url in urls if urlsplit(url).netloc == host]
    near = difflib.get_close_matches(sought, (same_host or urls)[:20_000], n=1, cutoff=0.5)
    if near:
        return f"; did you mean {near[0]} ?"
    return f" ({len(urls):,} pages extracted, {num_lost:,} records lost)"
