"""Checks within the step of their asset: severities, blocking, and what is not measured."""

import dagster as dg
import pytest

from assets.support.checks import ERROR, WARN, Check, Found, Made, check_groups, not_measured, results
from assets.support.resources import LoamHome
from lm import storage
from lm.errors import InputError


@pytest.mark.parametrize(
    ("check", "found", "severity", "blocks"),
    [
        ({}, Found(False, "wrong"), ERROR, False),
        ({"blocking": True}, Found(False, "wrong"), ERROR, True),
        ({"blocking": True}, Found(True, "right"), ERROR, False),
        ({"blocking": True}, not_measured("no truth", passed=False), WARN, False),
        ({"warns": True}, Found(False, "odd"), WARN, False),
        ({"warns": True, "blocking": True}, Found(False, "odd"), WARN, False),
    ],
)
def test_only_an_error_blocks(check, found, severity, blocks):
    made = Check(name="x", description="", look=lambda _: found, **check)
    assert (made.severity(found), made.blocks(found)) == (severity, blocks)


def test_what_is_not_measured_has_no_figures():
    found = not_measured("no truth")
    assert (found.passed, found.description, dict(found.figures)) == (True, "not measured: no truth", {})


@pytest.mark.parametrize(
    ("passed", "warns", "goes_on"), [(True, False, True), (False, True, True), (False, False, False)]
)
def test_a_blocking_check_in_its_step_stops_what_follows(tmp_path, passed, warns, goes_on):
    with storage.publish(tmp_path / "x", kind="x", config={}, inputs={}, code="") as publication:
        (publication.path / "x").write_text("x")
    check = Check(
        name="sound", description="It is sound.", look=lambda made: Found(passed, made.artifact.kind, {"n": 1}),
        blocking=True, warns=warns,
    )  # fmt: skip
    made = Made(home=LoamHome(path=str(tmp_path)), artifact=publication.artifact)
    reached = []

    @dg.asset(check_specs=[check.spec("first")])
    def first():
        return dg.MaterializeResult(check_results=results([check], made))

    @dg.asset(deps=[first])
    def second():
        reached.append(True)

    run = dg.materialize([first, second], raise_on_error=False)
    assert bool(reached) is run.success is goes_on
    (found,) = run.get_asset_check_evaluations()
    assert (found.passed, found.description, found.blocking, found.metadata["n"].value) == (passed, "x", True, 1)


def test_groups_are_held_to_what_their_blocking_checks_find_now(tmp_path):
    home = LoamHome(path=str(tmp_path))
    for group, number in (("a/g0000", 1), ("b/g0000", 2)):
        with storage.publish(
            home.target("masked_documents", group), kind="x", config={}, inputs={}, code=""
        ) as publication:
            publication.summary["n"] = number

    def small(made):
        number = made.artifact.summary["n"]
        return Found(number < 2, f"{made.group} has {number}")

    checks = [
        Check(name="blocks", description="", look=small, blocking=True),
        Check(name="x", description="", look=small),
    ]
    groups = ["a/g0000", "b/g0000", "c/g0000"]  # of the last, nothing is there
    check_groups(home, ["a/g0000", "c/g0000"], {"masked_documents": checks})
    check_groups(home, groups, {"masked_documents": checks[1:], "raw_documents": checks})
    with pytest.raises(InputError) as refused:
        check_groups(home, groups, {"masked_documents": checks})
    assert str(refused.value).startswith(
        "b/g0000: masked_documents.blocks failed: b/g0000 has 2. Materialize these groups again"
    )
