"""Calls of an OpenAI-compatible endpoint: one question, one reply, with retries, time limits and no trace of the key.

Decisions:
- An overload (429), a fault of the server (5xx), a time-out and a dropped connection are tried again after pauses that
  double, or that the server's `Retry-After` gives. Any other status ends the work at once.
- Redirects are not followed and `.netrc` is not read: the key goes to the configured host alone.
- A reply is read up to `MAX_REPLY_BYTES`, and against the clock: a server that drips bytes is cut off.
"""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

import requests

from lm.alignment.judge.config import JudgeConfig
from lm.alignment.judge.prompt import SYSTEM
from lm.errors import ConfigurationError, InputError, LoamError, UnreachableError
from lm.locations import redacted

MAX_REPLY_BYTES = 2**18
_PASSING = frozenset({408, 425, 429, *range(500, 600)})
_MAX_PAUSE_S = 60.0


class StoppedError(Exception):
    """The work was stopped during a pause between two calls."""


class _PassingError(Exception):
    """A failure that may pass; `pause_s` is what the server wants to be waited."""

    def __init__(self, reason: str, pause_s: float = 0.0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s


class Endpoint:
    """Chat completions of one model. Threads may call it at the same time."""

    def __init__(self, config: JudgeConfig) -> None:
        """Raises:
        ConfigurationError: no URL or model, or the variable of the key is not set.
        """
        config.check_complete()
        self._config, self._key, self._local = config, _key(config.api_key_variable), threading.local()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End pauses between calls: whoever waits there gets a `StoppedError`."""
        self._stopped.set()

    def reply(self, question: str) -> str:
        """Return the reply of the model to one question.

        Raises:
            UnreachableError: no reply after `max_attempts` calls; names URL, status and attempts.
            ConfigurationError: the endpoint refuses the key, the model or the request; names URL and status.
            InputError: the reply is not a chat completion.
            StoppedError: `stop` was called.
        """
        pause_s = self._config.first_pause_s
        for attempt in range(1, self._config.max_attempts + 1):
            try:
                return self._call(question)
            except _PassingError as error:
                if attempt == self._config.max_attempts:
                    calls = f"{attempt} call{'s' if attempt > 1 else ''}"
                    raise UnreachableError(f"judge {self._config.url}: {error} after {calls}") from None
                if self._stopped.wait(min(max(pause_s, error.pause_s), _MAX_PAUSE_S)):
                    raise StoppedError from None
                pause_s *= 2
        raise AssertionError  # the last attempt returns or raises

    def _call(self, question: str) -> str:
        config, deadline = self._config, time.monotonic() + self._config.timeout_s
        try:
            with self._session().post(
                config.url,
                json=self._body(question),
                timeout=config.timeout_s,
                auth=self._authorize,
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._read(response, deadline)
        except requests.RequestException as error:
            kind = "no reply in time" if isinstance(error, requests.Timeout) else "no reply"
            raise _PassingError(f"{kind} ({type(error).__name__})") from None
        if response.status_code in _PASSING:
            reason = f"HTTP {response.status_code}{self._detail(body)}"
            raise _PassingError(reason, _retry_after(response.headers.get("Retry-After", "")))
        if response.status_code != 200:
            raise self._refused(response.status_code, body)
        return self._content(body)

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        """Return the body, of which no byte is waited for beyond the deadline."""
        body = bytearray()
        for part in response.iter_content(1):  # larger parts would be waited for until they are full
            body += part
            if time.monotonic() > deadline:
                raise requests.Timeout
            if len(body) > MAX_REPLY_BYTES:
                raise InputError(f"judge {self._config.url}: a reply over {MAX_REPLY_BYTES:,} bytes, expected less")
        return bytes(body)

    def _body(self, question: str) -> dict[str, Any]:
        config = self._config
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
        limits: dict[str, Any] = {} if config.temperature is None else {"temperature": config.temperature}
        if config.max_reply_tokens:
            limits["max_tokens"] = config.max_reply_tokens
        return {"model": config.model, "messages": messages, **limits}

    def _session(self) -> requests.Session:
        """Return the session of this thread; they are not made for several."""
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        session: requests.Session = self._local.session
        return session

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request

    def _refused(self, status: int, body: bytes) -> LoamError:
        place = f"judge {self._config.url}: HTTP {status}"
        if status in (401, 403):
            name = self._config.api_key_variable
            held = f"the key in {name} was rejected" if name else "a key is required: set api_key_variable"
            return ConfigurationError(f"{place}, expected 200; {held}")
        return ConfigurationError(f"{place}, expected 200{self._detail(body)}")

    def _content(self, body: bytes) -> str:
        try:
            content = json.loads(body)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            content = 0
        if content is not None and not isinstance(content, str):
            raise InputError(
                f"judge {self._config.url}: HTTP 200 without choices[0].message.content{self._detail(body)}, expected "
                "a chat completion"
            )
        return content or ""

    def _detail(self, body: bytes) -> str:
        """Return the beginning of a body as one line without secrets."""
        text = " ".join(body[:4_096].decode("utf-8", "replace").split())
        text = "".join(character for character in text if character.isprintable())
        text = redacted(text.replace(self._key, "…") if self._key else text)
        return f" ({text[:200]})" if text else ""


def _key(variable: str) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigurationError(f"judge.api_key_variable: the environment variable {variable} is not set")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(
            f"judge.api_key_variable: {variable} has spaces or non-ASCII characters, expected printable ASCII"
        )
    return key


def _retry_after(value: str) -> float:
    """Return the seconds of a `Retry-After` header; dates count as none."""
    return float(value) if value.isascii() and value.isdigit() and len(value) < 9 else 0.0
