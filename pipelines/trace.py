"""The way of one document: `python -m pipelines.trace URL_or_doc_id`.

Where it was in the WARC file, what every stage found, what was masked, which near-duplicate won, where its tokens are;
or the rule that removed it. A stage that has not run yet says so. Of a URL with several documents (captured twice, say)
each is told. Nothing is written; columns are read, not whole files, after each file's sha256 was checked.
"""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lm.errors import InputError, run_command
from lm.shards import TokenShards
from lm.storage import MANIFEST, Artifact, open_artifact
from pipelines import layout
from pipelines.curate import CURATION, Step
from pipelines.document import DOCUMENT_SCHEMA, is_doc_id
from pipelines.tables import CLUSTERS, DOCUMENTS, REMOVALS
from pipelines.tokenize import SPLITS
from pipelines.trace_text import render

_FIRST = CURATION[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """What one stage did with the document: `outcome` is kept, removed, not yet run, or unknown to it."""

    stage: str
    artifact: str
    outcome: str
    found: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """One document's way. `record` says where it came from, `passages` what each stage did, `tokens` where it ended."""

    doc_id: str
    url: str
    partition: str
    record: Mapping[str, Any]
    passages: Sequence[Passage]
    tokens: Mapping[str, Any] | None


def trace(sought: str, root: Path | None = None) -> list[Trace]:
    """The ways of all documents with this URL or doc_id, below the home folder `root`.

    Raises:
        InputError: nothing was extracted yet, or no document has this URL or doc_id; names the nearest URL.
        IntegrityError: an artifact on the way is damaged.
    """
    root = root or layout.home()
    partitions = list(_partitions(root))
    if not partitions:
        raise InputError(f"{layout.artifact_path(_FIRST.artifact, root=root)}: nothing was extracted yet")
    column = "doc_id" if is_doc_id(sought) else "url"
    found = [
        _follow(root, partition, row)
        for partition in partitions
        for row in _first_rows(_open(root, _FIRST, partition), column, sought)
    ]
    if not found:
        raise InputError(f"{sought}: no page with this {column} was extracted{_nearest(root, partitions, sought)}")
    return found


def main(argv: list[str] | None = None) -> int:
    """Print the way of one document."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.trace", description=__doc__.splitlines()[0])
    parser.add_argument("document", help="a URL, or a doc_id (the UUID of the WARC-Record-ID)")
    parser.add_argument("--home", type=Path, help="the home folder; $LOAM_HOME or .loam where not given")
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
    """The console script."""
    run_command(main)


def _partitions(root: Path) -> Iterator[str]:
    """The keys of all partitions that were extracted."""
    folder = layout.artifact_path(_FIRST.artifact, root=root)
    for manifest in sorted(folder.glob(f"*/g*/{MANIFEST}")):
        yield manifest.parent.relative_to(folder).as_posix()


def _open(root: Path, step: Step, partition: str) -> Artifact | None:
    """The artifact of a step, None where it was not made yet."""
    path = layout.artifact_path(step.artifact, partition if step.partitioned else None, root)
    return open_artifact(path) if (path / MANIFEST).exists() else None


def _first_rows(artifact: Artifact | None, column: str, sought: str) -> list[dict[str, Any]]:
    """The documents, and the pages without text, with this id or URL."""
    if artifact is None:
        return []
    names = [name for name in DOCUMENT_SCHEMA.names if name != "text"]
    kept = _rows(artifact, DOCUMENTS, column, sought, names)
    return kept + _rows(artifact, REMOVALS, column, sought, ["doc_id", "url"])


def _rows(
    artifact: Artifact, name: str, column: str, sought: str, columns: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """The rows of a table with one value in `column`; row groups whose statistics exclude it are not read."""
    table = pq.read_table(artifact.file(name), columns=columns, filters=pc.field(column) == sought)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _follow(root: Path, partition: str, first: Mapping[str, Any]) -> Trace:
    passages: list[Passage] = []
    known = set(DOCUMENT_SCHEMA.names)
    previous: Artifact | None = None
    ended = False
    for step in CURATION:
        if ended:
            break
        artifact = _open(root, step, partition)
        passages.append(_passage(step, artifact, previous, first["doc_id"], known))
        ended = passages[-1].outcome != "kept"
        previous = artifact
    return Trace(
        doc_id=first["doc_id"],
        url=first["url"],
        partition=partition,
        record={name: first[name] for name in ("crawl", "warc_path", "warc_offset", "fetched_at") if name in first},
        passages=passages,
        tokens=None if ended else _tokens(root, previous, first["doc_id"]),
    )


def _passage(step: Step, artifact: Artifact | None, source: Artifact | None, doc_id: str, known: set[str]) -> Passage:
    """One stage's verdict; `known` are the columns of the stages before, and grows by this one's."""
    if artifact is None:
        return Passage(stage=step.stage, artifact=step.artifact, outcome="not yet run")
    stale = source is not None and source.digest not in artifact.inputs.values()
    note = {"stale": f"made from another version of {source.path.name}"} if stale and source else {}
    removals = _rows(artifact, REMOVALS, "doc_id", doc_id)
    if removals:
        found = {name: removals[0][name] for name in ("rule", "value", "threshold") if removals[0][name] is not None}
        winner = removals[0]["duplicate_of"]
        if winner is not None:
            found |= {"duplicate_of": winner, "duplicate_url": _winner_url(artifact, winner)}
        return Passage(stage=step.stage, artifact=step.artifact, outcome="removed", found={**found, **note})
    documents = _rows(artifact, DOCUMENTS, "doc_id", doc_id)
    if not documents:
        return Passage(stage=step.stage, artifact=step.artifact, outcome="unknown to it", found=note)
    found = {name: value for name, value in documents[0].items() if name not in known}
    found["text_bytes"] = len(documents[0]["text"].encode())
    if CLUSTERS in artifact.files:
        found |= _beaten(artifact, doc_id)
    known.update(documents[0])
    return Passage(stage=step.stage, artifact=step.artifact, outcome="kept", found={**found, **note})


def _winner_url(artifact: Artifact, winner: str) -> str | None:
    for name in (DOCUMENTS, REMOVALS):
        for row in _rows(artifact, name, "doc_id", winner, ["url"]):
            return str(row["url"])
    return None


def _beaten(artifact: Artifact, doc_id: str) -> dict[str, Any]:
    """The duplicates that a kept document was chosen over."""
    members = _rows(artifact, CLUSTERS, "cluster_id", doc_id)
    losers = [
        {"url": member["url"], "rule": member["rule"], "jaccard": member["jaccard"]}
        for member in members
        if not member["kept"]
    ]
    return {"chosen_over": losers} if losers else {}


def _tokens(root: Path, documents: Artifact | None, doc_id: str) -> dict[str, Any] | None:
    """Where the document's ids lie: its row in a shard file, its range there and in the stream of the whole split."""
    path = layout.artifact_path("token_shards", root=root)
    if not (path / MANIFEST).exists():
        return None
    artifact = open_artifact(path)
    for split in SPLITS:
        before = 0
        for shard in TokenShards.open(artifact, split).shards:
            row = pc.index(shard.doc_ids, pa.scalar(doc_id, shard.doc_ids.type)).as_py()
            if row >= 0:
                start, end = int(shard.offsets[row]), int(shard.offsets[row + 1])
                stale = documents is not None and documents.digest not in artifact.inputs.values()
                return {
                    "split": split,
                    "shard": shard.path.name,
                    "row": row,
                    "start": start,
                    "end": end,
                    "stream_start": before + start,
                    "stream_end": before + end,
                    **({"stale": f"made from another version of {documents.path.name}"} if stale and documents else {}),
                }
            before += int(shard.tokens.size)
    return {"split": None}


def _nearest(root: Path, partitions: Sequence[str], sought: str) -> str:
    """A hint at the most similar URL, looked for on the same host where there is one."""
    host = urlsplit(sought).netloc
    urls: list[str] = []
    for partition in partitions:
        artifact = _open(root, _FIRST, partition)
        if artifact is not None:
            for name in (DOCUMENTS, REMOVALS):
                urls += pq.read_table(artifact.file(name), columns=["url"]).column("url").to_pylist()
    same_host = [url for url in urls if urlsplit(url).netloc == host]
    near = difflib.get_close_matches(sought, (same_host or urls)[:20_000], n=1, cutoff=0.5)
    return f"; did you mean {near[0]} ?" if near else f" ({len(urls):,} pages in {len(partitions)} partitions were)"


if __name__ == "__main__":
    command()
