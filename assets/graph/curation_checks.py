"""Checks of the curation, by asset: exact accounts, shares that are unlike other groups', and the built-in crawl's
truth. All run in the step that makes the artifact.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from assets.graph.truth_checks import TRUTH_CHECKS
from assets.support.checks import Check, Found, Made, not_measured
from lm.configuration import from_mapping
from lm.errors import AbsentError, ConfigurationError
from lm.storage import Artifact, find_artifact
from pipelines.curation.settings import settings_of
from pipelines.curation.steps import CURATION, DECONTAMINATION, DEDUPLICATION, EXTRACTION, Step, step_before
from pipelines.decontamination.corpus import DecontaminationConfig, contaminated_documents
from pipelines.documents.view import chain, count_documents, count_removals
from pipelines.filters.trained import is_of_invented_labels, measurements
from pipelines.paths import parse_partition
from pipelines.sources.built_in_crawl import are_built_in

MAX_SHARE_GAP = 0.25
"""Difference of the share kept from other groups' median that is worth a look."""
FEWEST_OTHERS = 3
_MOST_OTHERS = 32
MAX_LOST_SHARE = 0.1
MAX_HARM_GAP = 0.1
"""Difference of the share removed as harmful from the classifier's held-out rate of false positives."""
MAX_DUPLICATE_SHARE = 0.6
_NUM_SHOWN = 20
_COUNTS = ("num_in", "num_kept", "num_removed", "num_lost")


def _accounts(came: Callable[[Made], int | None]) -> Check:
    """Return the check that in = kept + removed + lost, and that in is what `came` from the step before."""

    def look(made: Made) -> Found:
        counts = {name: made.artifact.summary[name] for name in _COUNTS}
        wrong = list(_wrong(made.artifact, came(made)))
        said = f"{counts['num_in']:,} in, {counts['num_kept']:,} kept, {counts['num_removed']:,} removed, "
        said += f"{counts['num_lost']:,} lost" + (f"; {'; '.join(wrong)}" if wrong else "")
        return Found(not wrong, said, counts)

    return Check(
        name="accounts_are_exact",
        description="Documents in = kept + removed + lost, in the summary and in the tables. Documents in = documents "
        "kept by the previous step.",
        look=look,
        blocking=True,
    )


def _wrong(artifact: Artifact, came: int | None) -> Iterator[str]:
    """Yield where the counts of the summary, of the tables and of the step before disagree."""
    counts = artifact.summary
    if counts["num_in"] != counts["num_kept"] + counts["num_removed"] + counts["num_lost"]:
        yield "documents in differ from kept + removed + lost"
    if (rows := count_documents(artifact)) != counts["num_kept"]:
        yield f"{rows:,} rows in the table of kept documents"
    if (rows := count_removals(artifact)) != counts["num_removed"]:
        yield f"{rows:,} rows in the table of removals"
    if came is not None and came != counts["num_in"]:
        yield f"{came:,} kept by the previous step"


def _kept_before(step: Step) -> Callable[[Made], int | None]:
    """Return the number of documents that came: kept by the step before, in all its groups."""
    if step is EXTRACTION:
        return lambda made: None
    name = step_before(step).artifact

    def came(made: Made) -> int:
        if step is DECONTAMINATION:
            return sum(int(made.home.artifact(each).summary["num_kept"]) for each in (name, "added_documents"))
        groups = sorted(made.artifact.inputs) if step is DEDUPLICATION else [made.group]
        return sum(int(made.home.artifact(name, group).summary["num_kept"]) for group in groups)

    return came


def _documents_remain(made: Made) -> Found:
    kept, came = made.artifact.summary["num_kept"], made.artifact.summary["num_in"]
    return Found(kept > 0, f"{kept:,} of {came:,} documents kept", {"num_kept": kept})


def _share_kept(made: Made) -> Found:
    """Compare with other groups of the crawl; another key, or a group without the artifact, is passed over."""
    others = list(_other_shares(made))
    if len(others) < FEWEST_OTHERS:
        return not_measured(f"{len(others)} other groups of the crawl, expected at least {FEWEST_OTHERS}")
    share, median = _share(made.artifact), statistics.median(others)
    said = f"{share:.1%} kept; the median of {len(others)} other groups is {median:.1%}"
    return Found(abs(share - median) <= MAX_SHARE_GAP, said, {"share_kept": share, "median_of_others": median})


def _other_shares(made: Made) -> Iterator[float]:
    crawl, _ = parse_partition(str(made.group))
    kind, found = made.artifact.path.parent.parent.name, 0
    for group in made.groups:
        try:
            if group != made.group and parse_partition(group)[0] == crawl and found < _MOST_OTHERS:
                yield _share(made.home.artifact(kind, group))
                found += 1
        except (AbsentError, ConfigurationError):
            continue


def _share(artifact: Artifact) -> float:
    return float(artifact.summary["num_kept"] / max(1, artifact.summary["num_in"]))


def _share_lost(made: Made) -> Found:
    lost, came = made.artifact.summary["num_lost"], made.artifact.summary["num_in"]
    reasons = ", ".join(f"{reason} {number:,}" for reason, number in made.artifact.summary["lost_by_reason"].items())
    said = f"{lost:,} of {came:,} records lost" + (f": {reasons}" if reasons else "")
    return Found(lost <= MAX_LOST_SHARE * came, said, {"share_lost": lost / max(1, came)})


def _judged(step: Step) -> Check:
    def look(made: Made) -> Found:
        settings = settings_of(made.artifact).get(step.stage, {})
        if settings.get("judge") == "none":
            return Found(False, f"every document kept without scoring: {step.stage}.judge is none", {"judge": "none"})
        classifiers = find_artifact(made.home.target(str(step.classifiers)))
        invented = classifiers is not None and is_of_invented_labels(classifiers)
        if invented and not are_built_in(chain(made.artifact)[0].inputs.values(), made.home.root):
            return Found(False, f"scored by the demo's classifiers: {step.stage}.allow_demo_classifiers is true")
        return Found(True, f"scored by {step.classifiers}")

    return Check(
        name="documents_are_judged",
        description="The documents were scored by classifiers trained on labels of similar pages.",
        look=look,
        warns=True,
    )


def _harm_rate(made: Made) -> Found:
    classifiers = find_artifact(made.home.target("harm_classifiers"))
    if settings_of(made.artifact).get("harmful", {}).get("judge") == "none" or classifiers is None:
        return not_measured("the pages were not scored")
    came = max(1, made.artifact.summary["num_in"])
    figures: dict[str, float] = {}
    said, far = [], False
    for kind, measured in measurements(classifiers).items():
        share = made.artifact.summary["removed_by_rule"].get(kind, 0) / came
        expected = max((row["false_positive_rate"] for row in measured["by_length"]), default=0.0)
        figures |= {f"{kind}_share": share, f"{kind}_heldout_false_positive_rate": expected}
        said.append(f"{share:.1%} removed as {kind}; false positive rate on held-out pages {expected:.1%}")
        far |= share - expected > MAX_HARM_GAP
    return Found(not far, "; ".join(said), figures)


def _duplicate_rate(made: Made) -> Found:
    removed, came = made.artifact.summary["num_removed"], max(1, made.artifact.summary["num_in"])
    said = f"{removed / came:.1%} of {came:,} documents are duplicates"
    return Found(removed <= MAX_DUPLICATE_SHARE * came, said, {"duplicate_share": removed / came})


def _no_item_left(made: Made) -> Found:
    """Search the kept documents again."""
    config = {name: value for name, value in made.artifact.config.items() if name != "stage"}
    items = made.home.artifact("evaluation_items")
    left = contaminated_documents(made.artifact, items, from_mapping(DecontaminationConfig, config))
    sets = made.artifact.summary["evaluation_sets"]
    said = f"{len(left):,} documents contain an item of the {len(sets)} evaluation sets"
    return Found(not left, said, {"num_left": len(left), "left": left[:_NUM_SHOWN], "evaluation_sets": sets})


REMAIN = Check(
    name="documents_remain", description="The step kept at least one document.", look=_documents_remain, warns=True
)
_OWN: dict[str, tuple[Check, ...]] = {
    EXTRACTION.artifact: (
        Check(
            name="few_records_are_lost",
            description=f"At most {MAX_LOST_SHARE:.0%} of the records are lost.",
            look=_share_lost,
            warns=True,
        ),
    ),
    "harmless_documents": (
        Check(
            name="harm_rate_is_expected",
            description=f"The share removed as harmful is at most {MAX_HARM_GAP * 100:.0f} points above the false "
            "positive rate on held-out pages. A larger gap means a very harmful crawl, or a classifier that does not "
            "fit the pages.",
            look=_harm_rate,
            warns=True,
        ),
    ),
    DEDUPLICATION.artifact: (
        Check(
            name="duplicate_rate_is_usual",
            description=f"At most {MAX_DUPLICATE_SHARE:.0%} of the documents are duplicates.",
            look=_duplicate_rate,
            warns=True,
        ),
    ),
    DECONTAMINATION.artifact: (
        Check(
            name="no_evaluation_item_is_left",
            description="The corpus contains none of the searchable evaluation items.",
            look=_no_item_left,
            blocking=True,
        ),
    ),
}
_SHARE_KEPT = Check(
    name="share_kept_is_usual",
    description=f"The share kept is within {MAX_SHARE_GAP * 100:.0f} points of the median of the crawl's other groups.",
    look=_share_kept,
    warns=True,
)


def _checks_of(step: Step) -> tuple[Check, ...]:
    return (
        _accounts(_kept_before(step)),
        REMAIN,
        *([_SHARE_KEPT] if step.partitioned else []),
        *([_judged(step)] if step.classifiers else []),
        *_OWN.get(step.artifact, ()),
        *TRUTH_CHECKS.get(step.artifact, ()),
    )


CHECKS: dict[str, tuple[Check, ...]] = {
    **{step.artifact: _checks_of(step) for step in CURATION},
    "added_documents": (_accounts(lambda made: None),),
}
"""The checks of every asset of documents."""

GROUP_CHECKS = {step.artifact: CHECKS[step.artifact] for step in CURATION if step.partitioned}
"""The checks of a group's assets; those that block keep the group out of the corpus."""


def specs(asset: str, partitions: dg.PartitionsDefinition[Any] | None = None) -> list[dg.AssetCheckSpec]:
    """Return the declarations of an asset's checks."""
    return [check.spec(asset, partitions) for check in CHECKS[asset]]
