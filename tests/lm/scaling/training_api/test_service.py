import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

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

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(120)


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


def test_without_a_key_nothing_is_served(tmp_path, monkeypatch):
    monkeypatch.delenv("LOAM_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="LOAM_API_KEY: not set"):
        serve(tmp_path, tmp_path, 1e9)
