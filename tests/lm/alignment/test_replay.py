"""Replay adds exactly the gradient of pre-training's own loss on windows of the token shards."""

import pytest
import torch

from lm.alignment.config import SFTConfig
from lm.alignment.policy import Tuner
from lm.alignment.replay import Replay
from lm.errors import InputError
from lm.model import TransformerLM, preset
from lm.shards import TokenShards
from lm.training.loss import token_losses
from lm.training.reading_order import make_reading_order
from tests.lm.training.corpora import make_shards


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("replay") / "shards")


def a_model(**changes):
    torch.manual_seed(0)
    return TransformerLM(preset("test", vocab_size=64, **changes)).double()


def replay_of(shards, model, **changes):
    return Replay(shards, model, **{"num_windows": 3, "weight": 0.5, "seed": 1, **changes})


def gradients(model):
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def test_the_gradient_is_that_of_the_windows_mean_loss(shards):
    model = a_model()
    loss = replay_of(shards, model).accumulate()
    found = gradients(model)
    length = model.config.context_length
    order = make_reading_order(TokenShards.open(shards, "train"), packing="stream", context_length=length, seed=1)
    windows = []
    for _ in range(3):
        place = order.next()
        start, end = order.window(place).pieces[0].tolist()
        windows.append(torch.from_numpy(order.sources[0].stream.read(start - 1, end - start + 1)))
    ids = torch.stack(windows)
    wanted = token_losses(model(ids[:, :-1]), ids[:, 1:]).mean()
    model.zero_grad()
    (0.5 * wanted).backward()
    assert loss == pytest.approx(wanted.item())
    torch.testing.assert_close(found, gradients(model), atol=1e-10, rtol=1e-6)


def test_documents_stay_apart_where_the_model_was_trained_so(shards):
    model = a_model(separate_documents=True)
    replay = replay_of(shards, model)
    batch = replay._loader.next_batch()
    assert batch.document_ids is not None
    replay.restore(replay_of(shards, model).state())
    loss = replay.accumulate()
    targets, hidden = batch.ids[:, 1:], model(batch.ids[:, :-1], document_ids=batch.document_ids)
    losses = token_losses(hidden, targets)
    wanted = losses.mean() if batch.counted is None else losses[batch.counted].mean()
    assert loss == pytest.approx(wanted.item())


def test_a_replay_goes_on_where_it_was(shards):
    model = a_model()
    replay = replay_of(shards, model)
    replay.accumulate()
    state, second = replay.state(), replay.accumulate()
    again = replay_of(shards, model)
    again.restore(state)
    assert again.accumulate() == second != replay_of(shards, model).accumulate()


def test_the_tuner_adds_it_to_every_step(shards):
    model = a_model()
    before = [parameter.clone() for parameter in model.parameters()]
    tuner = Tuner(model, SFTConfig(num_steps=2, warmup_steps=1, optimizer="adamw"), replay_of(shards, model))
    numbers = tuner.step()
    assert numbers["replay_loss"] > 0
    assert not any(torch.equal(one, other) for one, other in zip(before, model.parameters(), strict=True))


def test_shards_of_another_vocabulary_are_refused(shards):
    with pytest.raises(InputError, match="vocabulary of 64, expected 32"):
        replay_of(shards, TransformerLM(preset("test", vocab_size=32)))
    with pytest.raises(InputError, match="expected another"):
        replay_of(shards, a_model(), tokenizer_digest="another")
