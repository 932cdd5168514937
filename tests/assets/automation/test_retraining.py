"""The sensor of new tokens: off, and what each tick does."""

import dagster as dg
import pytest

from assets.automation import retraining
from assets.support.resources import LoamHome
from lm import storage


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(retraining.TOKENS_VARIABLE, "1000")
    return LoamHome(path=str(tmp_path / "home"))


def publish(home, name, inputs=None, **summary):
    with storage.publish(home.target(name), kind=name, config={}, inputs=inputs or {}, code="") as publication:
        (publication.path / "x").write_text(str(summary))
        publication.summary.update(summary)
    return publication.artifact


def shards(home, tokens):
    return publish(home, "token_shards", tokens={"train": tokens})


def tick(instance, home, cursor=None):
    with dg.build_sensor_context(instance=instance, cursor=cursor) as context:
        return retraining.enough_new_tokens(context, home=home)


def test_the_sensor_is_off():
    assert retraining.enough_new_tokens.default_status == dg.DefaultSensorStatus.STOPPED


def test_without_shards_it_skips(empty_instance, home):
    assert "no token shards yet" in tick(empty_instance, home).skip_message


def test_it_asks_once_for_enough_new_tokens(empty_instance, home):
    shards(home, 999)
    assert tick(empty_instance, home).skip_message == "999 tokens, expected at least 1,000; the last training run had 0"
    made = shards(home, 1_200)
    first = tick(empty_instance, home)
    assert [request.run_key for request in first.run_requests] == [f"{made.digest}:1"]
    assert tick(empty_instance, home).run_requests[0].run_key == first.run_requests[0].run_key  # a preview
    shards(home, 2_199)
    assert "expected at least 2,200" in tick(empty_instance, home, first.cursor).skip_message
    shards(home, 2_200)
    assert len(tick(empty_instance, home, first.cursor).run_requests) == 1


def test_tokens_that_a_model_was_trained_on_are_not_new(empty_instance, home):
    made = shards(home, 5_000)
    publish(home, "pretrained_model", inputs={"token_shards": made.digest})
    found = tick(empty_instance, home)
    assert not found.run_requests and "was trained on these" in found.skip_reason.skip_message
    shards(home, 5_500)
    assert "expected at least 6,000" in tick(empty_instance, home, found.cursor).skip_message


def test_a_training_that_failed_comes_again_three_times_in_all(empty_instance, home):
    made = shards(home, 1_200)
    first = tick(empty_instance, home)
    tags = first.run_requests[0].tags

    def end(status):
        empty_instance.add_run(dg.DagsterRun(job_name="pretrain", run_id=dg_run_id(), status=status, tags=tags))

    end(dg.DagsterRunStatus.STARTED)
    assert "is already requested" in tick(empty_instance, home, first.cursor).skip_message
    for run in empty_instance.get_runs():
        empty_instance.delete_run(run.run_id)
    for attempt in (2, 3):
        end(dg.DagsterRunStatus.FAILURE)
        again = tick(empty_instance, home, first.cursor)
        assert [request.run_key for request in again.run_requests] == [f"{made.digest}:{attempt}"]
    end(dg.DagsterRunStatus.FAILURE)
    assert "3 training runs on these 1,200 tokens failed" in tick(empty_instance, home, first.cursor).skip_message


def dg_run_id():
    import uuid

    return str(uuid.uuid4())


@pytest.mark.parametrize("text", ["0", "many", "-5"])
def test_a_wrong_number_is_named(empty_instance, home, monkeypatch, text):
    monkeypatch.setenv(retraining.TOKENS_VARIABLE, text)
    shards(home, 10)
    with pytest.raises(dg.Failure, match=f"LOAM_RETRAIN_TOKENS: '{text}', expected a number of tokens"):
        tick(empty_instance, home)
