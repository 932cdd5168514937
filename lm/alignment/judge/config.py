"""Configuration of a judge: an OpenAI-compatible endpoint, its limits, and the criteria of a better answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
CRITERIA = (
    "Prefer the answer that is correct. Between answers that are equally correct, prefer the one that does what the "
    "prompt wants, completely and clearly. Length by itself counts for nothing."
)


@dataclass(frozen=True, kw_only=True)
class JudgeConfig:
    """A model behind an OpenAI-compatible endpoint that compares answers."""

    base_url: Annotated[
        str, Doc("Address of the API, such as http://127.0.0.1:8000/v1; /chat/completions is added.")
    ] = ""
    model: Annotated[str, Doc("Name of the judge model at the endpoint.")] = ""
    api_key_variable: Annotated[
        str, Doc("Name of the environment variable that holds the key; empty sends none. The key itself is not stored.")
    ] = ""
    criteria: Annotated[str, Doc("Criteria of a better answer, as text in the judge's prompt.")] = CRITERIA
    temperature: Annotated[
        float | None, Doc("Temperature of the judge; empty uses the endpoint's default."), Range(0, 100)
    ] = 0.0
    max_reply_tokens: Annotated[
        int,
        Doc("Maximum length of a reply including reasoning, in tokens; 0 uses the endpoint's default."),
        Range(0, 2**20),
    ] = 16
    max_concurrent: Annotated[int, Doc("Maximum number of concurrent calls."), Range(1, 256)] = 4
    max_calls: Annotated[
        int,
        Doc(
            "Maximum number of questions, two per pair of answers; further pairs are left out. Repeated calls do not "
            "count."
        ),
        Range(2),
    ] = 2_000
    timeout_s: Annotated[float, Doc("Timeout of one call, in seconds."), Range(above=0, most=3_600)] = 60.0
    max_attempts: Annotated[
        int,
        Doc("Maximum number of calls per question, if the endpoint is overloaded or does not reply."),
        Range(1, 100),
    ] = 6
    first_pause_s: Annotated[
        float,
        Doc("Seconds before the first repeated call; the pause doubles for each further call."),
        Range(above=0, most=60),
    ] = 1.0

    def __post_init__(self) -> None:
        settle(self, "judge")
        if self.api_key_variable and not _VARIABLE.fullmatch(self.api_key_variable):
            raise ConfigurationError(  # without the value: it may be the key itself
                "judge.api_key_variable: expected the name of an environment variable in capitals, such as "
                "JUDGE_API_KEY, not a key"
            )
        if self.base_url:
            _check_url(self.base_url)

    def check_complete(self) -> None:
        """Check that there is an endpoint to call.

        Raises:
            ConfigurationError: names the missing field.
        """
        for name in ("base_url", "model"):
            if not getattr(self, name).strip():
                raise ConfigurationError(f"judge.{name}: empty, expected a value with source = judge")

    @property
    def url(self) -> str:
        """The address of chat completions."""
        return f"{self.base_url.rstrip('/')}/chat/completions"


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("judge.base_url: not a URL, expected http:// or https://, a host and a path") from None
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ConfigurationError(
            "judge.base_url: has credentials, a query or a fragment, expected only http:// or https://, host and path; "
            "put the key into the environment variable named by api_key_variable"
        )
    if parts.scheme not in ("http", "https") or not host or any(c.isspace() for c in url):
        raise ConfigurationError(f"judge.base_url: {url!r:.80}, expected http:// or https://, a host and a path")
