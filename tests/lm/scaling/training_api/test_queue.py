import threading

import pytest

from lm.errors import ConfigurationError, InputError
from lm.scaling.training_api.client import LocalClient
from lm.scaling.training_api.queue import OverBudgetError, TrainingQueue
from lm.scaling.training_api.request import TrainingRequest
from tests.lm.training.corpora import make_shards

VOCAB = 64


def request(**changes):
    values = {"d_model": 16, "num_layers": 1, "num_heads": 2, "learning_rate": 1e-2, "context_length": 16}
    found = {**values, "batch_tokens": 32, "train_flops": 1e8, **changes}
    return TrainingRequest(**found)


@pytest.fixture
def queue(tmp_path):
    return TrainingQueue(tmp_path / "queue.sqlite", budget_flops=3e8)


def test_equal_requests_are_one_and_held_once(queue):
    first, again = queue.submit(request(), VOCAB), queue.submit(request(), VOCAB)
    assert first == again and first.state == "queued" and len(queue.records()) == 1
    assert queue.budget().held_flops == first.planned_flops <= 1e8
    assert queue.submit(request(seed=1), VOCAB).id != first.id


def test_over_the_budget_is_refused_with_what_is_left(queue):
    queue.submit(request(train_flops=2.5e8), VOCAB)
    with pytest.raises(OverBudgetError, match=r"request\.train_flops: 9\.\d+e\+07, expected at most the remaining 5"):
        queue.submit(request(), VOCAB)
    queue.submit(request(train_flops=4e7), VOCAB)


def test_a_finished_run_is_charged_what_it_took_and_frees_the_rest(queue):
    made = queue.submit(request(), VOCAB)
    identity, taken = queue.take()
    assert identity == made.id and taken == request() and queue.record(identity).state == "running"
    assert queue.take() is None
    queue.finish(identity, loss=3.0, parameters=100, tokens=10, flops=6e7)
    assert queue.budget().remaining_flops == pytest.approx(2.4e8)
    second = queue.submit(request(seed=1), VOCAB)
    queue.take()
    queue.fail(second.id, "loss is nan", 1e7)
    assert queue.budget().charged_flops == pytest.approx(7e7) and queue.record(second.id).error == "loss is nan"
    assert queue.submit(request(seed=1), VOCAB).state == "failed"


def test_reopening_finds_everything_and_queues_what_ran(queue):
    made = queue.submit(request(), VOCAB)
    queue.take()
    again = TrainingQueue(queue.path)
    assert again.record(made.id).state == "running" and again.recover() == 1
    assert again.take()[0] == made.id
    with pytest.raises(InputError, match="no such queue"):
        TrainingQueue(queue.path.with_name("none.sqlite"))
    with pytest.raises(InputError, match="run 'nothing'"):
        again.record("nothing")


def test_threads_cannot_overdraw_the_budget(queue):
    refused = []

    def submit(seed):
        try:
            queue.submit(request(seed=seed), VOCAB)
        except OverBudgetError:
            refused.append(seed)

    threads = [threading.Thread(target=submit, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(queue.records()) == 3 and len(refused) == 9
    assert queue.budget().held_flops <= 3e8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d_model": 15}, "num_heads: 2 does not divide d_model = 15"),
        ({"learning_rate": 0.0}, r"request\.learning_rate"),
        ({"train_flops": float("inf")}, r"request\.train_flops"),
        ({"optimizer": "adam"}, r"request\.optimizer"),
    ],
)
def test_bad_requests_are_refused_by_field(changes, message):
    with pytest.raises(ConfigurationError, match=message):
        request(**changes)


def test_a_budget_below_one_step_is_refused(queue):
    with pytest.raises(ConfigurationError, match=r"request\.train_flops: 1, expected at least one step"):
        queue.submit(request(train_flops=1.0), VOCAB)


def test_a_local_client_trains_for_real_and_answers_from_the_store(tmp_path):
    shards = make_shards(tmp_path / "shards")
    client = LocalClient(tmp_path / "home", shards.path, 1e9)
    done = client.result(client.submit(request()).id)
    assert done.state == "done" and 0 < done.loss < 10 and done.tokens > 0
    assert done.charged_flops == pytest.approx(done.planned_flops) and client.submit(request()) == done
    wild = client.submit(request(learning_rate=1_000.0, optimizer="sgd", train_flops=2e8))
    failed = client.result(wild.id)
    assert failed.state == "failed" and "finite" in failed.error
    assert 0 < failed.charged_flops <= failed.planned_flops
    assert client.budget().charged_flops == pytest.approx(done.charged_flops + failed.charged_flops)
    with pytest.raises(InputError, match="other token shards"):
        LocalClient(tmp_path / "home", make_shards(tmp_path / "other", seed=1).path, 1e9)
