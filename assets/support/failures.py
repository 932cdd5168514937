"""`LoamError` as a Dagster failure: one line, no retry, and the error's exit code."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import dagster as dg

from lm.errors import LoamError, as_loam_error

P = ParamSpec("P")
R = TypeVar("R")


def explained(body: Callable[P, R]) -> Callable[P, R]:
    """Turn a `LoamError` of an asset's body into a `dagster.Failure` with its message and exit code, not to be
    retried."""

    @functools.wraps(body)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return body(*args, **kwargs)
        except LoamError as error:
            raise _failure(error) from error
        except OSError as error:
            known = as_loam_error(error)
            if known is None:
                raise
            raise _failure(known) from error

    # Dagster reads the parameters' types from the signature and cannot resolve strings of another module's.
    run.__signature__ = inspect.signature(body, eval_str=True)  # type: ignore[attr-defined]
    return run


def _failure(error: LoamError) -> dg.Failure:
    return dg.Failure(
        description=str(error),
        metadata={"exit_code": error.exit_code, "error": type(error).__name__},
        allow_retries=False,
    )
