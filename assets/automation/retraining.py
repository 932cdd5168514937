"""The sensor `enough_new_tokens`: a new training once the corpus has grown enough. Off by default."""

from __future__ import annotations

import json
import os

import dagster as dg

from assets.automation.jobs import pretrain
from assets.support.failures import explained
from assets.support.resources import LoamHome
from lm.errors import AbsentError, ConfigurationError

TOKENS_VARIABLE = "LOAM_RETRAIN_TOKENS"
_DEFAULT_TOKENS = "10_000_000"
_INTERVAL_S = 300
_MAX_ATTEMPTS = 3
SHARDS_TAG = "loam/token_shards"
"""The tag of a run that names the token shards for which the sensor requested it."""


@dg.sensor(
    job=pretrain,
    minimum_interval_seconds=_INTERVAL_S,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description=f"Requests the job `pretrain` once the token shards have grown by {TOKENS_VARIABLE} tokens (default: "
    f"{int(_DEFAULT_TOKENS):,}) since the last training run. A failed run is retried, up to {_MAX_ATTEMPTS} attempts "
    "in total.",
)
@explained
def enough_new_tokens(context: dg.SensorEvaluationContext, home: LoamHome) -> dg.SensorResult | dg.SkipReason:
    """Compare the tokens of the shards with those of the last requested training, which the cursor stores."""
    try:
        shards = home.artifact("token_shards")
    except AbsentError:
        return dg.SkipReason("no token shards yet: materialize token_shards first")
    tokens = int(shards.summary["tokens"]["train"])
    cursor = json.loads(context.cursor) if context.cursor else None
    if cursor is None and _is_trained_on(home, shards.digest):
        cursor = {"tokens": tokens, "shards": shards.digest}
        return dg.SensorResult(
            skip_reason=dg.SkipReason(f"pretrained_model was trained on these {tokens:,} tokens"),
            cursor=json.dumps(cursor),
        )
    before = cursor or {"tokens": 0, "shards": ""}
    if before["shards"] == shards.digest:
        return _again(context, shards.digest, tokens)
    wanted = before["tokens"] + _new_tokens()
    if tokens < wanted:
        return dg.SkipReason(
            f"{tokens:,} tokens, expected at least {wanted:,}; the last training run had {before['tokens']:,}"
        )
    return dg.SensorResult(
        run_requests=[_request(shards.digest, 1)], cursor=json.dumps({"tokens": tokens, "shards": shards.digest})
    )


def _again(context: dg.SensorEvaluationContext, digest: str, tokens: int) -> dg.SensorResult | dg.SkipReason:
    """Return another request for the shards whose last run failed, or the reason for none."""
    runs = context.instance.get_runs(dg.RunsFilter(tags={SHARDS_TAG: digest[:_TAG_DIGITS]}))
    failed = [run for run in runs if run.status == dg.DagsterRunStatus.FAILURE]
    if not runs or len(failed) < len(runs):
        return dg.SkipReason(f"a training run on these {tokens:,} tokens is already requested")
    if len(failed) >= _MAX_ATTEMPTS:
        return dg.SkipReason(
            f"{len(failed)} training runs on these {tokens:,} tokens failed; launch the job `pretrain` manually"
        )
    return dg.SensorResult(run_requests=[_request(digest, 1 + len(failed))])


_TAG_DIGITS = 16


def _request(digest: str, attempt: int) -> dg.RunRequest:
    return dg.RunRequest(run_key=f"{digest}:{attempt}", tags={SHARDS_TAG: digest[:_TAG_DIGITS]})


def _is_trained_on(home: LoamHome, digest: str) -> bool:
    try:
        return digest in home.artifact("pretrained_model").inputs.values()
    except AbsentError:
        return False


def _new_tokens() -> int:
    text = os.environ.get(TOKENS_VARIABLE) or _DEFAULT_TOKENS
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ConfigurationError(f"{TOKENS_VARIABLE}: '{text}', expected a number of tokens, at least 1")
    return number
