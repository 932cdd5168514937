"""The training API over HTTP (FastAPI; documented at /docs). Needs the extra `api`.

    POST /runs          queue a request: 201 new, 200 known already, 409 over budget, 422 bad input
    GET  /runs          all requests        GET /runs/ID    one of them, 404 where there is none
    GET  /budget        FLOPs: total, charged, held, remaining

Every call needs the header `X-API-Key` with the key in the environment variable LOAM_API_KEY, else 401. The service
listens on 127.0.0.1 by default, since it has no encryption of its own.
"""

from __future__ import annotations

import dataclasses
import hmac
import json
import os
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader

from lm.configuration import field_descriptions, from_mapping
from lm.errors import ConfigurationError, LoamError
from lm.scaling.training_api.queue import OverBudgetError, TrainingQueue
from lm.scaling.training_api.request import TrainingRequest
from lm.scaling.training_api.worker import queue_at
from lm.training.stop import StopSignals

KEY_VARIABLE, KEY_HEADER = "LOAM_API_KEY", "X-API-Key"
_STOP_S = 60.0
_TYPES = {int: "integer", float: "number", str: "string"}


def make_app(queue: TrainingQueue, vocab_size: int, key: str) -> FastAPI:
    """Return the application over a queue."""
    given = APIKeyHeader(name=KEY_HEADER, auto_error=False)

    def authorized(sent: str | None = Depends(given)) -> None:
        if sent is None or not hmac.compare_digest(sent.encode(), key.encode()):
            raise HTTPException(401, f"header {KEY_HEADER}: missing or wrong, expected the key of {KEY_VARIABLE}")

    app = FastAPI(title="Loam training API", description=__doc__ or "", dependencies=[Depends(authorized)])

    @app.exception_handler(LoamError)
    async def refuse(_: Request, error: LoamError) -> JSONResponse:
        status = 409 if isinstance(error, OverBudgetError) else 422 if isinstance(error, ConfigurationError) else 404
        return JSONResponse({"detail": str(error)}, status)

    @app.post("/runs", status_code=201, openapi_extra={"requestBody": _body_schema()})
    async def submit(request: Request) -> JSONResponse:
        """Queue a training, or return the one with the same hyperparameters."""
        asked = from_mapping(TrainingRequest, _mapping(await request.body()), "request")
        known = any(each.id == asked.identity for each in queue.records())
        record = queue.submit(asked, vocab_size)
        return JSONResponse(record.as_mapping(), 200 if known else 201)

    @app.get("/runs")
    def runs() -> list[dict[str, Any]]:
        """Return all requests in the order of their arrival."""
        return [record.as_mapping() for record in queue.records()]

    @app.get("/runs/{identity}")
    def run(identity: str) -> dict[str, Any]:
        """Return one request with its state and result."""
        return queue.record(identity).as_mapping()

    @app.get("/budget")
    def budget() -> dict[str, float]:
        """Return the budget in FLOPs."""
        found = queue.budget()
        return {**dataclasses.asdict(found), "remaining_flops": found.remaining_flops}

    return app


def serve(home: Path, shards: Path, budget_flops: float, *, host: str = "127.0.0.1", port: int = 8_100) -> None:
    """Serve until a signal, with one worker beside; both go on where they were when they are started again.

    Raises:
        ConfigurationError: the environment has no API key.
        InputError: the home belongs to other token shards.
    """
    key = os.environ.get(KEY_VARIABLE, "")
    if not key:
        raise ConfigurationError(f"{KEY_VARIABLE}: not set, expected the key that clients send as {KEY_HEADER}")
    queue, vocab_size = queue_at(home, shards, budget_flops)
    command = [sys.executable, "-m", "lm.scaling.training_api.worker", "--home", str(home), "--data", str(shards)]
    worker = subprocess.Popen(command)
    with StopSignals():  # uvicorn sends the signal that ended it again, and the worker must be stopped before
        try:
            uvicorn.run(make_app(queue, vocab_size, key), host=host, port=port, log_level="warning")
        finally:
            worker.terminate()
            try:
                worker.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                worker.kill()


def _mapping(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise ConfigurationError(f"request: {error}, expected JSON") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"request: a {type(found).__name__}, expected an object")
    return found


def _body_schema() -> dict[str, Any]:
    """Return the OpenAPI schema of a request, from the fields' types and descriptions."""
    hints, told = typing.get_type_hints(TrainingRequest), field_descriptions(TrainingRequest)
    properties: dict[str, Any] = {}
    for field in dataclasses.fields(TrainingRequest):
        choices = typing.get_args(hints[field.name])
        kind = {"type": "string", "enum": list(choices)} if choices else {"type": _TYPES[hints[field.name]]}
        default = {} if field.default is dataclasses.MISSING else {"default": field.default}
        properties[field.name] = {**kind, "description": told[field.name], **default}
    required = [name for name, each in properties.items() if "default" not in each]
    schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    return {"content": {"application/json": {"schema": schema}}, "required": True}
