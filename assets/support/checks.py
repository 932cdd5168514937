"""Asset checks that run in the step of their asset, without a process of their own.

A check looks at an artifact that was just published and says in one line what it found. A blocking check that fails
ends its step, so that nothing is made of the artifact in this run; `check_groups` holds later runs to the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from assets.support.plots import rounded
from assets.support.resources import LoamHome
from assets.support.unpublished import CheckTarget
from lm.errors import InputError
from lm.storage import Artifact, find_artifact

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A published artifact: of one group, or of the whole corpus; `groups` are all registered groups."""

    home: LoamHome
    artifact: Artifact
    group: str | None = None
    groups: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a check: one line, and the figures behind it."""

    passed: bool
    description: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    warns: bool = False
    """Whether a failure is a warning, also where the check's failures are errors."""


def not_measured(reason: str, *, passed: bool = True) -> Found:
    """Return the result of a check that cannot look: no figures, and a warning where it should have been able to."""
    return Found(passed, f"not measured: {reason}", warns=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """A check of one asset. Its failure is a warning, an error, or an error that blocks what follows."""

    name: str
    description: str
    look: Callable[[Made], Found]
    warns: bool = False
    blocking: bool = False

    def spec(self, asset: str, partitions: dg.PartitionsDefinition[str] | None = None) -> dg.AssetCheckSpec:
        """Return the check's declaration on `asset`."""
        return dg.AssetCheckSpec(
            self.name, asset=asset, description=self.description, blocking=self.blocking, partitions_def=partitions
        )

    def severity(self, found: Found) -> dg.AssetCheckSeverity:
        """Return how serious a failure of this result is."""
        return WARN if self.warns or found.warns else ERROR

    def blocks(self, found: Found) -> bool:
        """Return whether this result blocks what follows."""
        return self.blocking and not found.passed and self.severity(found) == ERROR


def results(checks: Sequence[Check], made: Made) -> list[dg.AssetCheckResult]:
    """Return the results of the checks of an asset without partitions."""
    looked = [(check, check.look(made)) for check in checks]
    return [
        dg.AssetCheckResult(
            check_name=check.name,
            passed=found.passed,
            severity=check.severity(found),
            description=found.description,
            metadata=figures(found.figures),
        )
        for check, found in looked
    ]


def evaluations(
    context: dg.AssetExecutionContext, looked: Mapping[str, Sequence[tuple[Check, Found]]]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield an evaluation for each group and check; the groups' materializations have been reported before."""
    for group, pairs in looked.items():
        target = _target(context, group)
        for check, found in pairs:
            yield dg.AssetCheckEvaluation(
                asset_key=context.asset_key,
                check_name=check.name,
                passed=found.passed,
                metadata=figures(found.figures),
                severity=check.severity(found),
                description=found.description,
                blocking=check.blocking,
                partition=group,
                target_materialization_data=target,
            )


def figures(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a check's result as its page shows them: rounded to four digits."""
    return {name: rounded(value) if isinstance(value, float) else value for name, value in found.items()}


def check_groups(home: LoamHome, groups: Sequence[str], checks: Mapping[str, Sequence[Check]]) -> None:
    """Refuse groups with an artifact that a blocking check fails; `checks` has the checks of each asset of a group.

    The checks look anew, so that a group is held to them whatever made its artifacts: another run, or the command.

    Raises:
        InputError: names every such group with its asset, its check and the check's line.
    """
    bad = []
    for group in groups:
        for asset, checks_of in checks.items():
            if (artifact := find_artifact(home.target(asset, group))) is None:
                continue
            made = Made(home=home, artifact=artifact, group=group)
            looked = [(check, check.look(made)) for check in checks_of if check.blocking]
            bad += [
                f"{group}: {asset}.{check.name} failed: {found.description}"
                for check, found in looked
                if check.blocks(found)
            ]
    if bad:
        raise InputError(
            f"{'; '.join(bad)}. Materialize these groups again, starting at that asset, or exclude "
            "them with `partitions`"
        )


def _target(context: dg.AssetExecutionContext, group: str) -> CheckTarget | None:
    wanted = dg.AssetRecordsFilter(asset_key=context.asset_key, asset_partitions=[group])
    records = context.instance.fetch_materializations(wanted, limit=1).records
    made = (CheckTarget(run_id=each.run_id, storage_id=each.storage_id, timestamp=each.timestamp) for each in records)
    return next(made, None)
