"""Stages run over artifacts: documents in, verdicts out, published with exact accounts.

Decisions: the accounts of a stage are checked before it is published: in = kept + removed + lost. A stage enters the
fingerprint by its name and fields; fields named `*_path` stay out of it, since where a model lies changes nothing and
its sha256 stands beside it.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from lm import progress, storage
from lm.configuration import to_mapping
from lm.errors import LoamError
from lm.storage import Artifact, Publication
from pipelines.documents.accounts import DOCUMENTS_KIND, Counts
from pipelines.documents.schema import Stage
from pipelines.documents.verdicts import VerdictWriter, sources_of
from pipelines.documents.view import count_documents, read_documents, read_schema
from pipelines.executor.partitions import Report, run_partitions


def stage_config(stage: Stage) -> dict[str, Any]:
    """Return a stage's configuration without the paths of its models, which say nothing that their sha256 does not."""
    values = to_mapping(stage)
    return {name: value for name, value in values.items() if not name.endswith("_path")}


def run_stage(
    stage: Stage,
    source: Artifact,
    target: Path,
    *,
    settings: Mapping[str, Any] | None = None,
) -> Artifact:
    """Send the documents of `source` through `stage` and publish the verdicts at `target`.

    Does nothing where that work is done already. `settings` are those that the stage was made from, where it is not
    its own configuration.

    Raises:
        IntegrityError: the stage lost or doubled a document; or `source` changed on disk.
        NoSpaceError: the disk is full.
    """
    return storage.make(
        target,
        functools.partial(_write_stage, stage, source, target),
        kind=DOCUMENTS_KIND,
        config=_config(stage, settings),
        inputs={"documents": source.digest},
    )


def _config(stage: Stage, settings: Mapping[str, Any] | None) -> dict[str, Any]:
    own = stage_config(stage)
    made_from = {"settings": dict(settings)} if settings is not None and settings != own else {}
    return {"stage": stage.name, **own, **made_from}


def run_stage_partitions(
    stage: Stage | Mapping[str, Stage],
    sources: Mapping[str, Artifact],
    targets: Mapping[str, Path],
    *,
    settings: Mapping[str, Any] | None = None,
    num_workers: int = 1,
    report: Report | None = None,
    failed: dict[str, LoamError] | None = None,
) -> dict[str, Artifact]:
    """Run `run_stage` for every partition of `sources`, over `num_workers` processes: with one stage, or one for each.

    With `failed`, errors of single partitions are put there, as `run_partitions` does.
    """
    stages = stage if isinstance(stage, Mapping) else dict.fromkeys(sources, stage)
    jobs = {partition: (stages[partition], source, targets[partition]) for partition, source in sources.items()}
    description = next((each.name for each in stages.values()), "")
    return run_partitions(
        functools.partial(_run_job, settings),
        jobs,
        num_workers=num_workers,
        report=report,
        description=description,
        failed=failed,
    )


def _run_job(settings: Mapping[str, Any] | None, job: tuple[Stage, Artifact, Path]) -> Artifact:
    return run_stage(*job, settings=settings)


def _write_stage(stage: Stage, source: Artifact, target: Path, publication: Publication) -> None:
    """Stream the documents through; the added columns are those that an empty batch comes out with."""
    schema = read_schema(source)
    judged = stage.judge(pa.RecordBatch.from_pylist([], schema=schema)).documents.schema
    counts, languages = Counts(), Counter[str]()
    with (
        VerdictWriter(publication.path, schema, judged) as writer,
        progress.bar(stage.name, total=count_documents(source), unit="doc") as bar,
    ):
        for batch in read_documents(source):
            judgement = stage.judge(batch)
            counts.judge(batch, judgement)
            writer.write(batch, judgement)
            if "language" in schema.names:
                names, numbers = batch.column("language").value_counts().flatten()
                languages.update(dict(zip(names.to_pylist(), numbers.to_pylist(), strict=True)))
            bar.update(batch.num_rows)
    off = {f"{rule} in {name}": languages[name] for name in sorted(languages) for rule in stage.rules_off(name)}
    publication.summary.update(
        counts.summary(stage.name), sources=sources_of(target, [source]), **({"rules_off": off} if off else {})
    )
