"""User errors and exit codes.

    LoamError               exit code
    ├── InputError          2    an input file or value is missing, damaged or of the wrong kind
    │   └── AbsentError     2    nothing is stored at a location
    ├── ConfigurationError  2    an unknown key, a value of the wrong type, an impossible combination
    ├── IntegrityError      2    stored bytes differ from their manifest
    ├── ConflictError       2    another run publishes the same artifact
    ├── UnreachableError    3    a store does not answer; run again later
    ├── PartialError        3    part of the work is done; the message has the counts
    ├── NoSpaceError        3    the disk is full; the partial file was removed
    ├── NonFiniteError      3    a loss, gradient, weight or score is NaN or infinite; nothing is published
    ├── RankLostError       3    a rank of a job died, stopped or failed; or that rank's own code
    └── Interrupted         130 or 143    SIGINT or SIGTERM, at a resumable point

A message is one line: the file or field, what was found, and what was expected.
"""

from __future__ import annotations

import errno
import math
import os
import sys
from collections.abc import Callable, Mapping
from typing import NoReturn


class LoamError(Exception):
    """The base class of user errors; `exit_code` is the exit code of a command."""

    exit_code = 2


class InputError(LoamError):
    """An input file or value is missing, damaged or of the wrong kind."""


class AbsentError(InputError):
    """Nothing is stored at a location: a store's own answer, unlike the silence of an `UnreachableError`."""


class ConfigurationError(LoamError):
    """A configuration has an unknown key, a value of the wrong type, or an impossible combination."""


class IntegrityError(LoamError):
    """Stored bytes differ from their manifest."""


class ConflictError(LoamError):
    """Another run publishes the same artifact at the same time."""


class UnreachableError(LoamError):
    """A store did not answer, so its content is unknown. Finished work is kept for the next run."""

    exit_code = 3


class PartialError(LoamError):
    """Part of the work is done and published; the message has the counts."""

    exit_code = 3


class NoSpaceError(LoamError):
    """The disk is full; the partial file was removed."""

    exit_code = 3


class NonFiniteError(LoamError):
    """A loss, gradient, weight or score is NaN or infinite; the last checkpoint is that of a finite model."""

    exit_code = 3


def check_finite_scores(scores: Mapping[str, object], where: str) -> None:
    """Check every number of `scores`, nested ones included; `where` begins the message.

    Raises:
        NonFiniteError: names the first number that is NaN or infinite, as in `greedy.verified_rate`.
    """
    for name, value in scores.items():
        if isinstance(value, Mapping):
            check_finite_scores({f"{name}.{inner}": item for inner, item in value.items()}, where)
        elif isinstance(value, float) and not math.isfinite(value):
            raise NonFiniteError(f"{where}: {name} is {value}, expected a finite number; nothing was published")


class Interrupted(LoamError):  # noqa: N818 - an interruption is not an error
    """A signal stopped the work at a point where the next run resumes."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class RankLostError(LoamError):
    """Another rank of a job died, stopped or failed, so all ended; the exit code is that of its error."""

    def __init__(self, message: str, exit_code: int = 3) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def no_space(path: os.PathLike[str] | str, needed_bytes: int | None = None) -> NoSpaceError:
    """Return the error of a write to `path` on a full disk; `needed_bytes` is the size of the write."""
    needed = "" if needed_bytes is None else f" ({needed_bytes:,} bytes needed)"
    return NoSpaceError(f"{os.fspath(path)}: no space left on device{needed}")


def as_loam_error(error: OSError) -> LoamError | None:
    """Return the `LoamError` for an `OSError` that a user can cause, or None for a fault of the program."""
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "?"
    if error.errno == errno.ENOSPC:
        return no_space(name)
    if isinstance(error, FileNotFoundError):
        return InputError(f"{name}: no such file or folder")
    if isinstance(error, FileExistsError | IsADirectoryError | NotADirectoryError | PermissionError):
        return InputError(f"{name}: {os.strerror(error.errno or 0).lower()}")
    return None


def run_command(main: Callable[[list[str] | None], int], argv: list[str] | None = None) -> NoReturn:
    """Run a command's `main` and exit with its return value, or with a `LoamError`'s code after one line on stderr.

    KeyboardInterrupt exits with 130. Other exceptions pass through with their traceback.
    """
    try:
        code = main(argv)
    except LoamError as error:
        print(f"error: {error}", file=sys.stderr)
        code = error.exit_code
    except OSError as error:
        known = as_loam_error(error)
        if known is None:
            raise
        print(f"error: {known}", file=sys.stderr)
        code = known.exit_code
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code)
