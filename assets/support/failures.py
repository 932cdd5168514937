"""`LoamError` as a Dagster failure: one line, the error's exit code, and a retry only where the cause may pass.

Causes that may pass: a store or server that did not answer, a lost rank, and another process at the same artifact, such
as the training of a run that was lost, on its way to a checkpoint. Bad data and settings stay as they are.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast, get_origin

import dagster as dg

from assets.support.launchpad import check_run
from lm.errors import ConflictError, LoamError, RankLostError, UnreachableError, as_loam_error

_MAX_RETRIES, _RETRY_AFTER_S = 2, 30.0
"""Of a step whose cause may pass; each attempt has asked a silent store for a minute already."""

P = ParamSpec("P")
R = TypeVar("R")


def explained(body: Callable[P, R]) -> Callable[P, R]:
    """Turn a `LoamError` of an asset's body into a `dagster.Failure` with its message and exit code, not to be
    retried. Before the body of an asset, the configurations of all assets of its run are checked."""

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with _explaining(_contexts(args, kwargs)):
            return body(*args, **kwargs)

    @functools.wraps(body)
    def iterate(*args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
        with _explaining(_contexts(args, kwargs)):
            yield from cast(Iterator[Any], body(*args, **kwargs))

    made = cast(Callable[P, R], iterate if inspect.isgeneratorfunction(body) else run)
    # Dagster reads the parameters' types from the signature and cannot resolve strings of another module's. Where an
    # asset has checks beside its own output, it recognizes results by their plain class alone.
    signature = inspect.signature(body, eval_str=True)
    returned = signature.return_annotation
    if made is not run or get_origin(returned) is dg.MaterializeResult:
        signature = signature.replace(return_annotation=dg.MaterializeResult)
    made.__signature__ = signature  # type: ignore[attr-defined]
    return made


def _contexts(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[dg.AssetExecutionContext]:
    return [value for value in (*args, *kwargs.values()) if isinstance(value, dg.AssetExecutionContext)]


@contextmanager
def _explaining(steps: list[dg.AssetExecutionContext]) -> Iterator[None]:
    try:
        for context in steps:
            check_run(context.op_execution_context.run_config)
        yield
    except LoamError as error:
        is_left = bool(steps) and steps[0].op_execution_context.retry_number < _MAX_RETRIES
        if is_left and may_pass(error):
            raise dg.RetryRequested(max_retries=_MAX_RETRIES, seconds_to_wait=_RETRY_AFTER_S) from error
        raise failure_of(error) from error
    except OSError as error:
        known = as_loam_error(error)
        if known is None:
            raise
        raise failure_of(known) from error


def may_pass(error: LoamError) -> bool:
    """Return whether the same work may succeed later. A rank that was lost by another rank's bad data has its code."""
    return isinstance(error, UnreachableError | ConflictError) or (
        isinstance(error, RankLostError) and error.exit_code == RankLostError("").exit_code
    )


def failure_of(error: LoamError) -> dg.Failure:
    """Return the Dagster failure of an error, with its exit code, not to be retried."""
    return dg.Failure(
        description=str(error),
        metadata={"exit_code": error.exit_code, "error": type(error).__name__},
        allow_retries=False,
    )
