import os

import pytest
import torch

from lm.accounting import count_parameters, training_memory
from lm.accounting.measured_memory import peak_new_bytes
from lm.accounting.memory import largest_context, largest_microbatch, largest_model, optimizer_state_bytes
from lm.model import TransformerLM, preset
from lm.training.batches import Batch
from lm.training.config import PretrainConfig
from lm.training.trainer import Trainer
from tests.lm.model.variants import VARIANTS

MANY_EXPERTS = {"num_experts": 4, "experts_per_token": 2, "d_ff": 512}
SHORT = {"context_length": 64}  # so that the update is the peak


class RandomBatches:
    """A loader of one random batch."""

    def __init__(self, config, batch_size):
        self.ids = torch.randint(config.vocab_size, (batch_size, config.context_length + 1))

    def next_batch(self):
        return Batch(self.ids, None, None, (), self.ids[:, 1:].numel())


def trainer_of(vocab_size=512, **settings):
    config = PretrainConfig(num_steps=5, **settings)
    shape = config.model_config(vocab_size)
    return Trainer(config, TransformerLM(shape), RandomBatches(shape, config.batch_size))


def state_bytes(trainer):
    return sum(
        value.nbytes for state in trainer.optimizer.state.values() for value in state.values() if torch.is_tensor(value)
    )


@pytest.mark.parametrize("switches", [{"num_experts": 4, "d_ff": 96}, VARIANTS["hybrid"], VARIANTS["latent"]])
@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
def test_optimizer_state_is_what_the_optimizer_keeps(optimizer, switches):
    trainer = trainer_of(preset="test", optimizer=optimizer, model=switches)
    trainer.train_step()
    assert state_bytes(trainer) == optimizer_state_bytes(trainer.model.config, optimizer)


@pytest.mark.parametrize("vocab_size", [512, 4_096])
@pytest.mark.parametrize(
    "settings",
    [
        {"batch_size": 4, "optimizer": "muon"},
        {"batch_size": 8, "optimizer": "adamw"},
        {"batch_size": 8, "microbatch_size": 2, "optimizer": "adamw"},
        {"batch_size": 8, "optimizer": "adamw", "recomputation": "blocks"},
        {"batch_size": 8, "optimizer": "adamw", "recomputation": "selective"},
        {"batch_size": 4, "optimizer": "adamw", "recomputation": "selective", "model": VARIANTS["hybrid"]},
        {"batch_size": 4, "optimizer": "adamw", "recomputation": "selective", "model": VARIANTS["latent_queries"]},
        {"batch_size": 4, "optimizer": "adamw", "recomputation": "selective", "model": VARIANTS["experts"]},
        {"batch_size": 4, "optimizer": "muon", "model": {"context_length": 512, "num_kv_heads": 2}},
        {"batch_size": 8, "optimizer": "adamw", "recomputation": "blocks", "model": MANY_EXPERTS},
        {"batch_size": 1, "optimizer": "muon", "model": MANY_EXPERTS},
        {"batch_size": 1, "optimizer": "adamw", "recomputation": "blocks", "model": SHORT},
        {"batch_size": 1, "optimizer": "muon", "model": SHORT},
        {"batch_size": 1, "optimizer": "sgd", "model": SHORT},
    ],
    ids=lambda settings: " ".join(map(str, settings.values())),
)
def test_the_peak_of_a_step_is_predicted_within_a_tenth(settings, vocab_size):
    trainer = trainer_of(vocab_size=vocab_size, preset="tiny_cpu", **settings)
    trainer.train_step()  # moments exist from the second step on
    _, new = peak_new_bytes(trainer.train_step)
    config = trainer.config
    predicted = training_memory(
        trainer.model.config,
        config.microbatch_size or config.batch_size,
        optimizer=config.optimizer,
        recompute=config.recomputation,
        accumulated=config.microbatch_size > 0,
        device="cpu",
    )
    measured = new + predicted.weights + state_bytes(trainer)
    assert predicted.total == pytest.approx(measured, rel=0.1)


def test_peak_counts_what_lives_at_once():
    def work():
        first = torch.zeros(1_000_000)
        del first
        return torch.zeros(500_000).sum()

    assert peak_new_bytes(work)[1] == pytest.approx(4_000_000, rel=0.001)


def test_measuring_hides_the_profilers_lines_and_nothing_else(capfd):
    peak_new_bytes(lambda: os.write(2, b"a warning of the work\n"))
    assert capfd.readouterr().err == "a warning of the work\n"


def test_memory_adds_up_and_the_largest_microbatch_is_the_largest():
    config = preset("gpt2_124m")
    one = training_memory(config, 1)
    assert one.weights + one.gradients + one.optimizer_state == 16 * count_parameters(config).total
    limit = 80 * 10**9
    for recompute in ("none", "blocks"):
        most = largest_microbatch(config, limit, recompute=recompute)
        fits, not_any_more = (
            training_memory(config, size, precision="bfloat16", recompute=recompute).total for size in (most, most + 1)
        )
        assert fits <= limit < not_any_more
    assert largest_microbatch(config, 10**9) == 0
    assert largest_context(config, limit) > 16 * config.context_length


def test_known_answer_eight_gpus_of_80_gb_hold_40_billion_parameters():
    assert largest_model(8 * 80 * 10**9) == 40_000_000_000
