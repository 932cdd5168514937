"""Requests to a store: which failures are repeated, how long, and what the message says."""

import errno

import pytest

from lm import store_access
from lm.errors import AbsentError, InputError, UnreachableError
from lm.store_access import is_transient, request
from tests.stores import SECRET


def of_library(module, name, **attributes):
    """An error of a class that a store's library has."""
    return type(name, (Exception,), {"__module__": module, **attributes})("why")


TRANSIENT = [
    TimeoutError(),
    ConnectionResetError(),
    OSError(errno.EBUSY, "SlowDown"),
    OSError(getattr(errno, "EREMOTEIO", errno.EIO), "InternalError"),
    OSError("without a number"),
    of_library("aiohttp.client_exceptions", "ClientPayloadError"),
    of_library("botocore.exceptions", "HTTPClientError"),
    of_library("gcsfs.retry", "HttpError", code=503),
    of_library("azure.core.exceptions", "HttpResponseError", status_code=429),
]
FINAL = [
    FileNotFoundError(),
    PermissionError(),
    IsADirectoryError(),
    OSError(errno.EINVAL, "PreconditionFailed"),
    ValueError(),
    of_library("botocore.exceptions", "NoCredentialsError"),
    of_library("gcsfs.retry", "HttpError", code=400),
]


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_a_silent_or_overloaded_store_is_asked_again(error, little_patience):
    assert is_transient(error)
    answers = [error, error, "found"]

    def operation():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert request("s3://b/x", operation) == "found"


@pytest.mark.parametrize("error", FINAL, ids=repr)
def test_a_refusal_is_final(error):
    assert not is_transient(error)
    calls = []

    def operation():
        calls.append(1)
        raise error

    with pytest.raises(InputError, match="s3://b/x: ") as refusal:
        request("s3://b/x", operation)
    assert len(calls) == 1
    assert isinstance(refusal.value, AbsentError) == isinstance(error, FileNotFoundError)


def test_pauses_double_until_patience_ends(monkeypatch):
    now, pauses = [0.0], []

    def sleep(seconds):
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(store_access.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(store_access.time, "sleep", sleep)

    def fail():
        raise TimeoutError(f"no answer with {SECRET}")

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with pytest.raises(UnreachableError, match=r"s3://b/x: the store cannot be reached \(10 attempts in 56 s; ") as end:
        request("s3://b/x", fail)
    assert pauses == [0.5, 1, 2, 4, 8, 10, 10, 10, 10]
    assert SECRET not in str(end.value)
    assert end.value.__cause__ is None
