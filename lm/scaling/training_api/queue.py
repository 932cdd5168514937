"""The queue of the training API: requests, their states and what they were charged, in one SQLite file.

    queued ──► running ──► done, charged its FLOPs
      ▲           ├──────► failed, charged what it used
      └───────────┘ a stop or a crash; the training goes on from its checkpoint

A queued or running request holds its planned FLOPs, so that the budget cannot be overdrawn. Every change is one
transaction, written before it is answered.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lm.configuration import from_mapping, to_mapping
from lm.errors import ConflictError, InputError
from lm.scaling.training_api.request import TrainingRequest

_SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    request TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    planned_flops REAL NOT NULL,
    charged_flops REAL NOT NULL DEFAULT 0,
    loss REAL,
    parameters INTEGER,
    tokens INTEGER,
    error TEXT
);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class OverBudgetError(ConflictError):
    """A request asks for more FLOPs than are left."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One request and how far it is; `loss` in nats per token of the validation split."""

    id: str
    request: dict[str, Any]
    state: str
    planned_flops: float
    charged_flops: float
    loss: float | None
    parameters: int | None
    tokens: int | None
    error: str | None

    @property
    def is_over(self) -> bool:
        """Return whether the state is final."""
        return self.state in ("done", "failed")

    def as_mapping(self) -> dict[str, Any]:
        """Return the record as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BudgetState:
    """FLOPs: the whole budget, what was charged, what waiting requests hold, and what is left."""

    total_flops: float
    charged_flops: float
    held_flops: float

    @property
    def remaining_flops(self) -> float:
        """Return what a further request may ask for."""
        return max(0.0, self.total_flops - self.charged_flops - self.held_flops)


class TrainingQueue:
    """The queue in a file; processes and threads may each open their own."""

    def __init__(self, path: Path, *, budget_flops: float | None = None, shards_digest: str = "") -> None:
        """Open the file, or make it with a budget for the shards of this digest.

        Raises:
            InputError: a new file without a budget, or a file that belongs to other shards.
        """
        self.path = path
        if budget_flops is None and not path.exists():
            raise InputError(f"{path}: no such queue, expected one made by the service")
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._transaction() as database:
            for statement in _SCHEMA.split(";"):
                database.execute(statement)
            if budget_flops is not None:
                database.execute("INSERT OR REPLACE INTO settings VALUES ('budget_flops', ?)", (repr(budget_flops),))
            if shards_digest:
                database.execute("INSERT OR IGNORE INTO settings VALUES ('shards', ?)", (shards_digest,))
                known = database.execute("SELECT value FROM settings WHERE name = 'shards'").fetchone()[0]
                if known != shards_digest:
                    raise InputError(f"{path}: its runs were trained on other token shards, expected {known[:16]}…")

    def submit(self, request: TrainingRequest, vocab_size: int) -> RunRecord:
        """Queue a request; an equal one that is there already is returned as it is.

        Raises:
            OverBudgetError: the request's FLOPs are more than what is left.
            ConfigurationError: the FLOPs do not pay for one step.
        """
        planned = request.planned_flops(vocab_size)
        with self._transaction() as database:
            known = database.execute("SELECT * FROM runs WHERE id = ?", (request.identity,)).fetchone()
            if known is not None:
                return _record(known)
            left = _budget(database).remaining_flops
            if planned > left * (1 + 1e-12):
                raise OverBudgetError(f"request.train_flops: {planned:.6g}, expected at most the remaining {left:.6g}")
            database.execute(
                "INSERT INTO runs (id, request, state, planned_flops) VALUES (?, ?, 'queued', ?)",
                (request.identity, json.dumps(to_mapping(request), sort_keys=True), planned),
            )
            return _record(database.execute("SELECT * FROM runs WHERE id = ?", (request.identity,)).fetchone())

    def record(self, identity: str) -> RunRecord:
        """Return one request.

        Raises:
            InputError: there is none with this id.
        """
        with self._transaction() as database:
            row = database.execute("SELECT * FROM runs WHERE id = ?", (identity,)).fetchone()
        if row is None:
            raise InputError(f"run '{identity}': not in the queue")
        return _record(row)

    def records(self) -> list[RunRecord]:
        """Return all requests in the order of their arrival."""
        with self._transaction() as database:
            return [_record(row) for row in database.execute("SELECT * FROM runs ORDER BY number")]

    def budget(self) -> BudgetState:
        """Return the state of the budget."""
        with self._transaction() as database:
            return _budget(database)

    def recover(self) -> int:
        """Queue again what was running when its worker ended; return the number. Only for the one worker."""
        with self._transaction() as database:
            return database.execute("UPDATE runs SET state = 'queued' WHERE state = 'running'").rowcount

    def take(self) -> tuple[str, TrainingRequest] | None:
        """Mark the oldest queued request as running and return it; None where none waits."""
        with self._transaction() as database:
            row = database.execute("SELECT * FROM runs WHERE state = 'queued' ORDER BY number LIMIT 1").fetchone()
            if row is None:
                return None
            database.execute("UPDATE runs SET state = 'running' WHERE id = ?", (row["id"],))
            return row["id"], from_mapping(TrainingRequest, json.loads(row["request"]), "request")

    def put_back(self, identity: str) -> None:
        """Queue an interrupted request again."""
        self._set(identity, state="queued")

    def finish(self, identity: str, *, loss: float, parameters: int, tokens: int, flops: float) -> None:
        """Store a result and charge the FLOPs that it took."""
        self._set(identity, state="done", loss=loss, parameters=parameters, tokens=tokens, charged_flops=flops)

    def fail(self, identity: str, error: str, flops: float) -> None:
        """Store a failure and charge the FLOPs that were used before."""
        self._set(identity, state="failed", error=error, charged_flops=flops)

    def _set(self, identity: str, **values: object) -> None:
        assignments = ", ".join(f"{name} = ?" for name in values)
        with self._transaction() as database:
            database.execute(f"UPDATE runs SET {assignments} WHERE id = ?", (*values.values(), identity))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(self.path, timeout=30.0, isolation_level=None)
        database.row_factory = sqlite3.Row
        try:
            database.execute("PRAGMA synchronous = FULL")
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")
        finally:
            database.close()


def _budget(database: sqlite3.Connection) -> BudgetState:
    total = float(database.execute("SELECT value FROM settings WHERE name = 'budget_flops'").fetchone()[0])
    charged, held = database.execute(
        "SELECT TOTAL(charged_flops), TOTAL(CASE WHEN state IN ('queued', 'running') THEN planned_flops END) FROM runs"
    ).fetchone()
    return BudgetState(total, charged, held)


def _record(row: sqlite3.Row) -> RunRecord:
    names = (name for name in RunRecord.__slots__ if name != "request")
    return RunRecord(request=json.loads(row["request"]), **{name: row[name] for name in names})
