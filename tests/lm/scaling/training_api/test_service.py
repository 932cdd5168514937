import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

from lm.configuration import to_mapping
from lm.errors import ConfigurationError, InputError, UnreachableError
from lm.scaling.training_api.client import HttpClient
from lm.scaling.training_api.queue import OverBudgetError
from tests.lm.scaling.training_api.test_queue import request
from tests.lm.training.corpora import make_shards

pytest.importorskip("fastapi")
from lm.scaling.training_api.service import serve

ROOT, KEY = Path(__file__).resolve().parents[4], "a key of this test"


class Service:
    """`python -m lm.scaling serve` on a free port."""

    def __init__(self, home, shards):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.command = [sys.executable, "-m", "lm.scaling", "serve", "--data", str(shards), "--home", str(home)]
        self.command += ["--budget", "3e10", "--port", str(self.port)]
        self.process = None

    def start(self):
        environment = {**os.environ, "LOAM_API_KEY": KEY, "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(self.command, cwd=ROOT, env=environment)
        for _ in range(600):
            try:
                HttpClient(self.url, KEY).budget()
            except UnreachableError:
                assert self.process.poll() is None
                time.sleep(0.1)
            else:
                return
        raise AssertionError("the service did not start")

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(120)

    def wait_for(self, identity, state):
        """The record of a request once it has reached a state."""
        for _ in range(1_200):
            _, found = self.curl(f"/runs/{identity}")
            if found["state"] == state:
                return found
            time.sleep(0.1)
        raise AssertionError(f"{found['state']}, expected {state}")

    def curl(self, path, body=None, key=KEY):
        """The status and the answer that `curl` gets."""
        command = ["curl", "--silent", "--show-error", "--write-out", "\n%{http_code}", "--header", f"X-API-Key: {key}"]
        command += [] if body is None else ["--data", body if isinstance(body, str) else json.dumps(body)]
        done = subprocess.run([*command, self.url + path], capture_output=True, text=True, check=True, timeout=60)
        answer, _, status = done.stdout.rpartition("\n")
        return int(status), json.loads(answer)


@pytest.mark.slow
def test_the_service_trains_answers_refuses_and_survives_a_restart(tmp_path):
    shards = make_shards(tmp_path / "shards")
    service = Service(tmp_path / "home", shards.path)
    service.start()
    try:
        client = HttpClient(service.url, KEY)
        done = client.result(client.submit(request()).id, timeout_s=120)
        assert done.state == "done" and done.loss > 0
        assert client.submit(request()) == done
        long = client.submit(request(train_flops=8e9))
        waiting = client.submit(request(train_flops=1e9, seed=1))
        with pytest.raises(OverBudgetError, match=r"expected at most the remaining .*HTTP 409"):
            client.submit(request(train_flops=2.9e10))
        for body, message in (("{", "expected JSON"), ('{"d_modl": 3}', "did you mean 'd_model'"), ("[]", "object")):
            answer = requests.post(f"{service.url}/runs", data=body, headers={"X-API-Key": KEY}, timeout=30)
            assert answer.status_code == 422 and message in answer.json()["detail"]
        with pytest.raises(InputError, match=r"run 'nothing': not in the queue \(HTTP 404\)"):
            client.record("nothing")
        with pytest.raises(InputError, match="HTTP 401"):
            HttpClient(service.url, "another key").submit(request())
        assert requests.get(f"{service.url}/budget", timeout=30).status_code == 401
        schema = requests.get(f"{service.url}/openapi.json", timeout=30).json()
        body = schema["paths"]["/runs"]["post"]["requestBody"]["content"]["application/json"]["schema"]
        assert "train_flops" in body["required"] and "Range" not in str(body)
        before = client.budget()
        service.stop()
        with pytest.raises(UnreachableError):
            client.budget()
        service.start()
        assert client.budget().total_flops == before.total_flops
        assert client.submit(request()) == done
        for each in (long, waiting):
            found = client.result(each.id, timeout_s=200)
            assert found.state == "done" and found.charged_flops == pytest.approx(each.planned_flops)
        assert client.budget().held_flops == 0
    finally:
        service.stop()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_drives_the_service_through_a_kill(tmp_path):
    shards, body = make_shards(tmp_path / "shards"), to_mapping(request(train_flops=1e9))
    service = Service(tmp_path / "home", shards.path)
    service.start()
    try:
        status, made = service.curl("/runs", body)
        assert status == 201 and made["state"] == "queued"
        service.wait_for(made["id"], "running")
        service.stop(signal.SIGKILL)
        service.start()
        assert service.curl("/runs", body)[0] == 200
        status, refused = service.curl("/runs", {**body, "train_flops": 3.1e10})
        assert status == 409 and "expected at most the remaining" in refused["detail"]
        assert service.curl("/runs", {**body, "d_model": 15})[0] == 422
        assert service.curl("/budget", key="another key")[0] == 401
        done = service.wait_for(made["id"], "done")
        assert done["loss"] > 0 and done["charged_flops"] == pytest.approx(made["planned_flops"])
        assert service.curl("/budget")[1]["charged_flops"] == done["charged_flops"]
        assert [each["id"] for each in service.curl("/runs")[1]] == [made["id"]]
    finally:
        service.stop()


def test_without_a_key_nothing_is_served(tmp_path, monkeypatch):
    monkeypatch.delenv("LOAM_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="LOAM_API_KEY: not set"):
        serve(tmp_path, tmp_path, 1e9)
