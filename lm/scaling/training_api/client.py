"""Clients of the training API: over HTTP, or over a queue of one's own whose trainings run in this process.

client = HttpClient("http://127.0.0.1:8100", key)
record = client.result(client.submit(TrainingRequest(train_flops=1e11, d_model=32, …)).id)
client.budget().remaining_flops
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Protocol

import requests

from lm.configuration import to_mapping
from lm.errors import ConfigurationError, InputError, PartialError, UnreachableError
from lm.scaling.training_api.queue import BudgetState, OverBudgetError, RunRecord
from lm.scaling.training_api.request import TrainingRequest
from lm.scaling.training_api.worker import queue_at, work_once

_TIMEOUT_S, _POLL_S = 30.0, 0.5
_ERRORS = {401: InputError, 404: InputError, 409: OverBudgetError, 422: ConfigurationError}


class TrainingClient(Protocol):
    """Submit requests, wait for results, and see what is left of the budget."""

    def submit(self, request: TrainingRequest) -> RunRecord:
        """Queue a request, or return the equal one that is there."""
        ...

    def result(self, identity: str, timeout_s: float = ...) -> RunRecord:
        """Return a request when it is done or failed."""
        ...

    def budget(self) -> BudgetState:
        """Return the state of the budget."""
        ...


class HttpClient:
    """A client of `lm.scaling.training_api.service`.

    Every call raises:
        UnreachableError: the service does not answer.
        InputError: no such request, or a wrong key.
        OverBudgetError: a request asks for more than what is left.
        ConfigurationError: a request that the service refuses.
    """

    def __init__(self, url: str, key: str) -> None:
        self._url, self._session = url.rstrip("/"), requests.Session()
        self._session.headers["X-API-Key"] = key

    def submit(self, request: TrainingRequest) -> RunRecord:
        """Queue a request, or return the equal one that is there."""
        return RunRecord(**self._call("POST", "/runs", json=to_mapping(request)))

    def record(self, identity: str) -> RunRecord:
        """Return one request as it is."""
        return RunRecord(**self._call("GET", f"/runs/{identity}"))

    def records(self) -> list[RunRecord]:
        """Return all requests."""
        return [RunRecord(**each) for each in self._call("GET", "/runs")]

    def result(self, identity: str, timeout_s: float = 86_400.0) -> RunRecord:
        """Return a request when it is done or failed.

        Raises:
            PartialError: it is neither after `timeout_s`.
        """
        end = time.monotonic() + timeout_s
        while not (found := self.record(identity)).is_over:
            if time.monotonic() > end:
                raise PartialError(f"run '{identity}': {found.state} after {timeout_s:g} s, expected done or failed")
            time.sleep(_POLL_S)
        return found

    def budget(self) -> BudgetState:
        """Return the state of the budget."""
        found = self._call("GET", "/budget")
        return BudgetState(found["total_flops"], found["charged_flops"], found["held_flops"])

    def _call(self, method: str, path: str, **options: Any) -> Any:
        try:
            answer = self._session.request(method, self._url + path, timeout=_TIMEOUT_S, **options)
        except requests.RequestException as error:
            raise UnreachableError(f"{self._url}{path}: no answer ({type(error).__name__})") from None
        if answer.ok:
            return answer.json()
        try:
            told = answer.json()["detail"]
        except (ValueError, KeyError, TypeError):
            told = answer.text[:200]
        raise _ERRORS.get(answer.status_code, UnreachableError)(f"{told} (HTTP {answer.status_code})")


class LocalClient:
    """The same calls over a queue in `home`; `result` trains in this process what is queued before it."""

    def __init__(self, home: Path, shards: Path, budget_flops: float) -> None:
        self._home, self._shards = home, shards
        self._queue, self._vocab_size = queue_at(home, shards, budget_flops)
        self._queue.recover()

    def submit(self, request: TrainingRequest) -> RunRecord:
        """Queue a request, or return the equal one that is there."""
        return self._queue.submit(request, self._vocab_size)

    def result(self, identity: str, timeout_s: float = 86_400.0) -> RunRecord:
        """Return a request when it is done or failed."""
        end = time.monotonic() + timeout_s
        while not (found := self._queue.record(identity)).is_over:
            if time.monotonic() > end or not work_once(self._queue, self._home, self._shards, self._vocab_size):
                raise PartialError(f"run '{identity}': {found.state}, expected done or failed")
        return found

    def budget(self) -> BudgetState:
        """Return the state of the budget."""
        return self._queue.budget()
