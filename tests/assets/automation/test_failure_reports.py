"""The sensor of failed runs: off; a readable page, and a message to a webhook."""

import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import dagster as dg
import pytest

from assets.automation import failure_reports
from assets.support.failures import explained
from assets.support.resources import LoamHome
from lm.errors import InputError


def failed_run(instance):
    """A run of two steps, the second of which fails; gives the context of the sensor."""

    @dg.op
    def first() -> None: ...

    @dg.op(ins={"start": dg.In(dg.Nothing)})
    @explained
    def second() -> None:
        raise InputError("/data/a.warc.gz: empty, expected WARC records")

    @dg.job(tags={"dagster/partition": "local/g0000"})
    def curate_crawl() -> None:
        second(start=first())

    result = curate_crawl.execute_in_process(instance=instance, raise_on_error=False)
    (event,) = [each for each in result.all_events if each.event_type == dg.DagsterEventType.RUN_FAILURE]
    return dg.build_run_status_sensor_context(
        sensor_name="failure_reports",
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=result.dagster_run,
        resources={"home": LoamHome()},
    ).for_run_failure()


@pytest.fixture
def home(tmp_path):
    return LoamHome(path=str(tmp_path / "home"))


def report_of(context, home):
    with context:
        failure_reports.failure_reports(context, home=home)
    (path,) = (home.root / "failures").glob("*.md")
    return path.read_text()


def test_the_sensor_is_off():
    assert failure_reports.failure_reports.default_status == dg.DefaultSensorStatus.STOPPED


def test_the_report_says_what_failed_and_why(empty_instance, home, monkeypatch):
    monkeypatch.delenv(failure_reports.WEBHOOK_VARIABLE, raising=False)
    text = report_of(failed_run(empty_instance), home)
    assert text.startswith("# curate_crawl failed\n")
    assert "- groups: from local/g0000\n" in text
    assert "- second: /data/a.warc.gz: empty, expected WARC records\n" in text
    assert "first" not in text.partition("## Last lines")[0]
    assert "Traceback" not in text


class Webhook(BaseHTTPRequestHandler):
    def do_POST(self):
        self.server.taken.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture(params=[200, 500])
def webhook(request):
    server = HTTPServer(("127.0.0.1", 0), Webhook)
    server.taken, server.status = [], request.param
    Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_webhook_takes_the_first_lines_and_its_failure_loses_no_report(empty_instance, home, webhook, monkeypatch):
    monkeypatch.setenv(failure_reports.WEBHOOK_VARIABLE, f"http://127.0.0.1:{webhook.server_port}/hook?token=secret")
    text = report_of(failed_run(empty_instance), home)
    (message,) = webhook.taken
    assert message["text"] == text.partition("\n\n## Last lines")[0].rstrip()
