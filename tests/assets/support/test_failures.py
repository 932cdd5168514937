"""Errors of an asset's body as Dagster shows them."""

import errno

import dagster as dg
import pytest

from assets.support import failures
from assets.support.failures import explained
from lm.errors import ConfigurationError, ConflictError, InputError, PartialError, RankLostError, UnreachableError


def failure_of(error):
    """The attempts of an asset that raises `error`, and what Dagster shows of the last."""
    attempts = []

    @dg.asset(retry_policy=dg.RetryPolicy(max_retries=2))
    @explained
    def thing() -> None:
        attempts.append(1)
        raise error

    result = dg.materialize([thing], raise_on_error=False)
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    return len(attempts), event.step_failure_data


@pytest.mark.parametrize(
    ("error", "message", "exit_code", "kind"),
    [
        (
            ConfigurationError("thing.number: 3 is none of 1, 2"),
            "thing.number: 3 is none of 1, 2",
            2,
            "ConfigurationError",
        ),
        (PartialError("2 of 3 are done"), "2 of 3 are done", 3, "PartialError"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "no space left", 3, "NoSpaceError"),
    ],
)
def test_a_users_mistake_is_one_clear_failure_without_retry(error, message, exit_code, kind):
    attempts, failed = failure_of(error)
    shown = failed.user_failure_data
    assert attempts == 1
    assert message in shown.description and "\n" not in shown.description
    assert (shown.metadata["exit_code"].value, shown.metadata["error"].value) == (exit_code, kind)


def test_a_fault_of_the_program_keeps_its_traceback_and_its_retries():
    attempts, failed = failure_of(ZeroDivisionError("here"))
    assert attempts == 3
    assert failed.user_failure_data is None
    assert failed.error.cause.cls_name == "ZeroDivisionError"


def test_dagster_reads_the_types_of_the_body():
    @dg.asset
    @explained
    def thing(context: dg.AssetExecutionContext, number: int) -> None:
        """What it makes."""

    assert thing.op.description == "What it makes."
    assert "number" in thing.op.input_dict


@pytest.mark.parametrize(
    ("error", "num_attempts"),
    [
        (UnreachableError("https://example.org/a: gave up after 8 attempts"), 3),
        (RankLostError("rank 1 of 2 died; run again to resume"), 3),
        (RankLostError("rank 1: a.arrow: damaged", exit_code=2), 1),
        (ConflictError("model: process 7 is publishing here"), 3),
        (InputError("a.warc.gz: damaged"), 1),
    ],
)
def test_what_may_pass_is_tried_again_and_bad_data_is_not(monkeypatch, error, num_attempts):
    monkeypatch.setattr(failures, "_RETRY_AFTER_S", 0.0)
    attempts = []

    @dg.asset
    @explained
    def thing(context: dg.AssetExecutionContext) -> None:
        attempts.append(1)
        raise error

    result = dg.materialize([thing], raise_on_error=False)
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    assert len(attempts) == num_attempts
    assert event.step_failure_data.user_failure_data.description == str(error)
