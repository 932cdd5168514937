"""The steps of the curation, in order: `CURATION`.

Assets, their dependencies, jobs, checks, benchmarks and `python -m pipelines.curation` all take the steps from here.
The first steps work partition by partition; from deduplication on, all partitions are one corpus, since a duplicate may
lie anywhere. Harmful pages are removed before the quality classifier, which would otherwise remove them first and leave
no measurement. `docs/your_own_stage.md` adds a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm.errors import AbsentError, InputError
from lm.storage import Artifact, open_artifact
from pipelines.decontamination.corpus import STAGE as DECONTAMINATE
from pipelines.decontamination.corpus import DecontaminationConfig
from pipelines.dedup.corpus import STAGE as DEDUP
from pipelines.dedup.corpus import DeduplicationConfig
from pipelines.documents.schema import Stage
from pipelines.documents.view import chain
from pipelines.extract.partition import STAGE as EXTRACT
from pipelines.extract.records import ExtractConfig
from pipelines.filters.heuristics import HeuristicFilter
from pipelines.filters.language import LanguageFilter
from pipelines.filters.pii import PiiMasker
from pipelines.filters.repetition import RepetitionFilter
from pipelines.filters.trained import (
    HarmfulConfig,
    QualityConfig,
    harmful_stage,
    is_of_invented_labels,
    quality_stage,
)
from pipelines.paths import artifact_path
from pipelines.sources.built_in_crawl import are_built_in

StageFactory = Callable[[Any, Artifact | None, Artifact], Stage]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A step of the curation: stage, artifact and configuration.

    A judging step also has the factory of its stage. The factory gets the configuration, the artifact of the
    classifiers (None for a step without classifiers, or with `judge: none`), and the documents of the partition.
    """

    stage: str
    artifact: str
    config: type
    description: str
    """The content of the artifact, shown in Dagster."""
    purpose: str
    """The purpose of the step, shown in the report."""
    partitioned: bool = True
    judging: StageFactory | None = None
    classifiers: str | None = None
    labels: str = ""
    """The labels that the classifiers need: settings, columns and public sets, for an error message."""

    def make_stage(self, config: Any, root: Path, documents: Artifact) -> Stage:
        """Return the stage of a judging step for the `documents` of a partition.

        Raises:
            InputError: as `open_classifiers`.
        """
        if self.judging is None:
            raise TypeError(f"step '{self.stage}' does not judge")
        judges = self.classifiers is not None and config.judge != "none"
        files = chain(documents)[0].inputs.values() if judges else ()
        return self.judging(config, self.open_classifiers(config, root, files), documents)

    def open_classifiers(self, config: Any, root: Path, files: Iterable[str]) -> Artifact | None:
        """Return the classifiers below the home folder `root`; None where `config` needs none.

        `files` are the sha256 of the WARC files whose pages will be judged.

        Raises:
            InputError: the classifiers have not been trained yet, or their labels are the built-in crawl's and the
            files are not, whatever the name of their crawl.
        """
        if self.classifiers is None or config.judge == "none":
            return None
        path = artifact_path(self.classifiers, root=root)
        try:
            classifiers = open_artifact(path)
        except AbsentError:
            raise InputError(f"{path}: no classifiers found; {self._remedy()}") from None
        if is_of_invented_labels(classifiers) and not config.allow_demo_classifiers and not are_built_in(files, root):
            raise InputError(
                f"{path}: trained on the synthetic labels of the built-in crawl, expected labels of real pages; "
                f"{self._remedy()}, or set {self.stage}.allow_demo_classifiers: true"
            )
        return classifiers

    def _remedy(self) -> str:
        return (
            f"train {self.classifiers} on {self.labels} (docs/real_labels.md), or keep every page without scoring "
            f"({self.stage}.judge: none)"
        )


def judge(artifact: str, by: type[Stage], description: str, purpose: str) -> Step:
    """Return the step of a stage whose fields are its configuration."""
    return Step(
        stage=by.name,
        artifact=artifact,
        config=by,
        description=description,
        purpose=purpose,
        judging=lambda config, *_: config,
    )


CURATION = (
    Step(
        stage=EXTRACT,
        artifact="raw_documents",
        config=ExtractConfig,
        description="The main text of every page. Unreadable records are counted with file and offset.",
        purpose="main text of each page",
    ),
    judge(
        "language_documents",
        by=LanguageFilter,
        description="Documents in the wanted languages.",
        purpose="language identification",
    ),
    judge(
        "prose_documents",
        by=HeuristicFilter,
        description="Documents that pass the heuristic rules for prose.",
        purpose="heuristic rules for prose",
    ),
    judge(
        "varied_documents",
        by=RepetitionFilter,
        description="Documents that pass Gopher's repetition rules.",
        purpose="repeated words, lines and paragraphs",
    ),
    Step(
        stage="harmful",
        artifact="harmless_documents",
        config=HarmfulConfig,
        description="Documents without toxic or adult content.",
        purpose="toxic and adult content",
        judging=harmful_stage,
        classifiers="harm_classifiers",
        labels="labelled texts such as Davidson 2017, Jigsaw Toxic Comments or Civil Comments: in its setting toxic or "
        "adult, a CSV or JSON Lines file (path), its text column (text) and label column (label, positive)",
    ),
    Step(
        stage="quality",
        artifact="quality_documents",
        config=QualityConfig,
        description="Documents that pass the quality classifier.",
        purpose="page quality",
        judging=quality_stage,
        classifiers="quality_classifier",
        labels="reference pages, such as pages cited by Wikipedia, and crawl pages (its settings reference_urls and "
        "crawl_pages), or on labelled texts (its setting labels: a CSV or JSON Lines file with the columns text and "
        "high_quality)",
    ),
    judge(
        "masked_documents",
        by=PiiMasker,
        description="Documents with personal data masked: e-mail, IP and street addresses, phone numbers, payment "
        "cards and bank accounts.",
        purpose="personal data (masked, no documents removed)",
    ),
    Step(
        stage=DEDUP,
        artifact="unique_documents",
        config=DeduplicationConfig,
        description="The corpus: documents of all chosen groups, without exact and near-duplicates.",
        purpose="duplicates and near-duplicates",
        partitioned=False,
    ),
    Step(
        stage=DECONTAMINATE,
        artifact="clean_documents",
        config=DecontaminationConfig,
        description="The decontaminated corpus: no passages of evaluation sets.",
        purpose="passages of evaluation sets",
        partitioned=False,
    ),
)
"""The steps in their order."""

EXTRACTION = CURATION[0]
JUDGING = tuple(step for step in CURATION if step.judging is not None)
DEDUPLICATION, DECONTAMINATION = (step for step in CURATION if not step.partitioned)
"""The steps by input: WARC files, batches of documents, the whole corpus."""

LAST_OF_PARTITION = JUDGING[-1]
"""The last step that works on a partition alone."""
CORPUS = CURATION[-1].artifact
"""The last artifact of the curation, from which tokens are made."""


def step_before(step: Step) -> Step:
    """Return the step whose artifact `step` reads; not defined for the first step."""
    return CURATION[CURATION.index(step) - 1]
