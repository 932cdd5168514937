"""One question, one reply: what passes is tried again, the rest is named with URL and status, the key never shows."""

import json
import socket
import threading
import time

import pytest

from lm.alignment.judge.config import JudgeConfig
from lm.alignment.judge.endpoint import MAX_REPLY_BYTES, Endpoint, StoppedError
from lm.alignment.judge.prompt import question
from lm.errors import ConfigurationError, InputError, UnreachableError
from tests.lm.alignment.judge.judge_server import longer, serving

KEY = "sk-secret-1234567"
QUESTION = question("Longer is better.", "Say hi.", "hi there", "hi")


@pytest.fixture
def server():
    with serving(longer) as found:
        yield found


def endpoint(server, **changed):
    return Endpoint(JudgeConfig(base_url=server.url, model="judge-1", **{"first_pause_s": 0.01, **changed}))


def test_a_question_is_a_chat_completion_with_the_key_of_a_variable(server, monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", KEY)
    assert endpoint(server, api_key_variable="JUDGE_KEY").reply(QUESTION) == "A"
    [(path, headers, body)] = server.requests
    assert path == "/v1/chat/completions" and headers["Authorization"] == f"Bearer {KEY}"
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("judge-1", 0.0, 16)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][1]["content"] == QUESTION
    endpoint(server, temperature=None, max_reply_tokens=0).reply(QUESTION)
    _, headers, body = server.requests[1]
    assert set(body) == {"model", "messages"} and "Authorization" not in headers


def test_credentials_of_a_netrc_are_not_sent(server, monkeypatch, tmp_path):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    endpoint(server).reply(QUESTION)
    assert "Authorization" not in server.requests[0][1]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 529])
def test_what_passes_is_tried_again(server, status):
    server.failures = [status, status]
    assert endpoint(server).reply(QUESTION) == "A" and len(server.requests) == 3
    server.failures, server.requests[:] = [status] * 9, []
    with pytest.raises(UnreachableError, match=rf"judge {server.url}/chat/completions: HTTP {status} .* after 3 calls"):
        endpoint(server, max_attempts=3).reply(QUESTION)
    assert len(server.requests) == 3


def test_pauses_double_and_heed_the_server(server, monkeypatch):
    judge, pauses = endpoint(server, first_pause_s=0.5), []
    monkeypatch.setattr(judge._stopped, "wait", lambda seconds: pauses.append(seconds))
    server.failures = [503, 503, (429, {"Retry-After": "7"}, "x"), (429, {"Retry-After": "9999"}, "x"), 500]
    assert judge.reply(QUESTION) == "A"
    assert pauses == [0.5, 1.0, 7.0, 60.0, 8.0]


def test_a_pause_ends_when_the_work_is_stopped(server):
    judge, server.failures = endpoint(server, first_pause_s=60.0), [503]
    threading.Timer(0.1, judge.stop).start()
    started = time.monotonic()
    with pytest.raises(StoppedError):
        judge.reply(QUESTION)
    assert time.monotonic() - started < 10 and len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 413, 422])
def test_a_refusal_ends_at_once_and_never_shows_the_key(server, monkeypatch, status):
    monkeypatch.setenv("HELD", KEY)
    server.failures = [(status, {"Location": "http://127.0.0.1:1/"}, f'{{"error": "no {KEY}\x1b[2J"}}')]
    with pytest.raises(ConfigurationError, match=rf"judge {server.url}/chat/completions: HTTP {status}, exp") as caught:
        endpoint(server, api_key_variable="HELD").reply(QUESTION)
    assert KEY not in str(caught.value) and "\x1b" not in str(caught.value) and len(server.requests) == 1
    assert ("HELD" in str(caught.value)) == (status in (401, 403))


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"choices": []}', "<html>", '{"choices": [{"message": {"content": 3}}]}']
)
def test_what_is_not_a_chat_completion_is_named(server, body):
    server.failures = [(200, {}, body)]
    with pytest.raises(InputError, match=r"HTTP 200 without choices\[0\]\.message\.content.*, expected a chat compl"):
        endpoint(server).reply(QUESTION)


def test_a_reply_without_text_is_empty(server):
    server.failures = [(200, {}, json.dumps({"choices": [{"message": {"content": None}}]}))]
    assert endpoint(server).reply(QUESTION) == ""


def test_a_reply_has_a_size_and_a_time(server):
    server.failures = [(200, {}, "x" * (MAX_REPLY_BYTES + 2))]
    with pytest.raises(InputError, match=r"a reply over 262,144 bytes"):
        endpoint(server).reply(QUESTION)
    server.drip = True
    with pytest.raises(UnreachableError, match=r"no reply in time \(Timeout\) after 2 calls"):
        endpoint(server, timeout_s=0.2, max_attempts=2).reply(QUESTION)


def test_a_silent_or_absent_server_is_named():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        config = JudgeConfig(base_url=url, model="m", timeout_s=0.1, max_attempts=1)
        with pytest.raises(UnreachableError, match=rf"judge {url}/chat/completions: no reply in time .* after 1 call$"):
            Endpoint(config).reply(QUESTION)
    with pytest.raises(UnreachableError, match=r"no reply \(ConnectionError\)"):
        Endpoint(config).reply(QUESTION)


@pytest.mark.parametrize("value", [None, "", "  ", "two words", "line\nbreak", "é"])
def test_a_key_that_cannot_be_sent_is_named_by_its_variable(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("JUDGE_KEY", raising=False)
    else:
        monkeypatch.setenv("JUDGE_KEY", value)
    config = JudgeConfig(base_url="http://127.0.0.1:1", model="m", api_key_variable="JUDGE_KEY")
    with pytest.raises(ConfigurationError, match=r"JUDGE_KEY (is not set|has spaces or)") as caught:
        Endpoint(config)
    assert not (value or "").strip() or value not in str(caught.value)
