"""`LoamError` as a Dagster failure: one line, no retry, and the error's exit code."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast, get_origin

import dagster as dg

from lm.errors import LoamError, as_loam_error

P = ParamSpec("P")
R = TypeVar("R")


def explained(body: Callable[P, R]) -> Callable[P, R]:
    """Turn a `LoamError` of an asset's body into a `dagster.Failure` with its message and exit code, not to be
    retried."""

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with _explaining():
            return body(*args, **kwargs)

    @functools.wraps(body)
    def iterate(*args: P.args, **kwargs: P.kwargs) -> Iterator[Any]:
        with _explaining():
            yield from cast(Iterator[Any], body(*args, **kwargs))

    made = cast(Callable[P, R], iterate if inspect.isgeneratorfunction(body) else run)
    # Dagster reads the parameters' types from the signature and cannot resolve strings of another module's. Where an
    # asset has checks beside its own output, it knows results by their plain class alone.
    signature = inspect.signature(body, eval_str=True)
    returned = signature.return_annotation
    if made is not run or get_origin(returned) is dg.MaterializeResult:
        signature = signature.replace(return_annotation=dg.MaterializeResult)
    made.__signature__ = signature  # type: ignore[attr-defined]
    return made


@contextmanager
def _explaining() -> Iterator[None]:
    try:
        yield
    except LoamError as error:
        raise failure_of(error) from error
    except OSError as error:
        known = as_loam_error(error)
        if known is None:
            raise
        raise failure_of(known) from error


def failure_of(error: LoamError) -> dg.Failure:
    """Return the Dagster failure of an error, with its exit code, not to be retried."""
    return dg.Failure(
        description=str(error),
        metadata={"exit_code": error.exit_code, "error": type(error).__name__},
        allow_retries=False,
    )
