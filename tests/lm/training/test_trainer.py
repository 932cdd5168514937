"""The step: any split of a batch gives the same gradient, whatever counts; and what is skipped is told."""

import copy
import math

import pytest
import torch
from torch.nn import functional as F

from lm.configuration import from_mapping
from lm.model import TransformerLM, preset
from lm.shards import TokenShards
from lm.training import (
    BatchLoader,
    LossScaler,
    NonFiniteError,
    PretrainConfig,
    SpikeDetector,
    Trainer,
    make_reading_order,
)
from tests.lm.training.corpora import SETTINGS, make_shards


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return TokenShards.open(make_shards(tmp_path_factory.mktemp("shards") / "s"))


def make_trainer(shards, seed=0, **changes):
    config = from_mapping(PretrainConfig, {**SETTINGS, **changes})
    model_config = config.model_config(64)
    torch.manual_seed(seed)
    order = make_reading_order(
        shards, packing=config.packing, context_length=model_config.context_length, seed=config.seed
    )
    loader = BatchLoader(order, batch_size=config.batch_size, document_masks=config.document_masks)
    return Trainer(config, TransformerLM(model_config), loader)


def gradients(trainer):
    """Of the next batch, before the clipping and without moving a weight."""
    trainer.optimizer.step = lambda: None
    trainer.config = from_mapping(PretrainConfig, {**_mapping(trainer.config), "max_gradient_norm": 1e9})
    result = trainer.train_step()
    return result, {name: parameter.grad.clone() for name, parameter in trainer.model.named_parameters()}


def _mapping(config):
    from lm.configuration import to_mapping

    return to_mapping(config)


@pytest.mark.parametrize("packing", ["stream", "best_fit", "padded"])
@pytest.mark.parametrize("document_masks", [False, True])
def test_any_split_of_a_batch_gives_the_same_gradient(shards, packing, document_masks):
    options = {"packing": packing, "document_masks": document_masks, "batch_size": 6, "model": {"context_length": 48}}
    whole, expected = gradients(make_trainer(shards, **options))
    for size in (1, 2, 4, 5):
        split, actual = gradients(make_trainer(shards, microbatch_size=size, **options))
        assert split.loss == pytest.approx(whole.loss, rel=1e-6) and split.tokens == whole.tokens
        for name, gradient in expected.items():
            torch.testing.assert_close(actual[name], gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("packing", ["best_fit", "padded"])
def test_the_gradient_is_that_of_the_mean_over_all_counted_targets(shards, packing):
    trainer = make_trainer(shards, packing=packing, microbatch_size=3, model={"context_length": 48})
    model, loader = copy.deepcopy(trainer.model), copy.deepcopy(trainer.loader)
    result, actual = gradients(trainer)
    batch = loader.next_batch()
    counted = torch.ones(4, 48, dtype=torch.bool) if batch.counted is None else batch.counted
    loss = F.cross_entropy(model(batch.ids[:, :-1])[counted], batch.ids[:, 1:][counted])
    loss.backward()
    assert result.loss == pytest.approx(loss.item(), rel=1e-6)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(actual[name], parameter.grad, rtol=1e-4, atol=1e-6)


def test_document_masks_make_packed_documents_as_if_each_were_alone(shards):
    options = {"batch_size": 400, "model": {"context_length": 128}, "document_masks": True}
    packed, padded = (make_trainer(shards, packing=packing, **options) for packing in ("best_fit", "padded"))
    for trainer in (packed, padded):
        trainer.loader.batch_size = trainer.loader.order.sources[0].windows.num_windows(0)
    assert packed.loader.batch_size < padded.loader.batch_size
    (a, expected), (b, actual) = gradients(packed), gradients(padded)
    assert a.tokens == b.tokens and a.loss == pytest.approx(b.loss, rel=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(actual[name], gradient, rtol=1e-4, atol=1e-6)


def test_recomputed_activations_give_the_same_gradient(shards):
    _, expected = gradients(make_trainer(shards))
    trainer = make_trainer(shards, recomputation="blocks")
    names = list(trainer.model.state_dict())
    _, actual = gradients(trainer)
    assert names == list(make_trainer(shards).model.state_dict())
    for name, gradient in expected.items():
        assert torch.equal(actual[name], gradient), name


def test_recomputed_activations_are_not_kept(shards):
    def saved_bytes(**changes):
        trainer, kept = make_trainer(shards, **changes), []
        hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t)
        ids = trainer.loader.next_batch().ids
        with hooks:
            trainer.model.hidden(ids[:, :-1])
        return sum(kept)

    assert saved_bytes(recomputation="blocks") < 0.5 * saved_bytes()


@pytest.mark.slow
def test_a_compiled_model_trains_the_same(shards):
    plain, compiled = make_trainer(shards), make_trainer(shards, compile="blocks")
    for _ in range(4):
        a, b = plain.train_step(), compiled.train_step()
        assert a.loss == pytest.approx(b.loss, rel=1e-4)
        assert a.gradient_norm == pytest.approx(b.gradient_norm, rel=1e-3)
    assert list(plain.model.state_dict()) == list(compiled.model.state_dict())


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_products_over_float32_weights(shards, precision):
    exact, half = make_trainer(shards), make_trainer(shards, precision=precision)
    for _ in range(6):
        a, b = exact.train_step(), half.train_step()
        assert b.skipped is None and a.loss == pytest.approx(b.loss, rel=0.02)
    assert {parameter.dtype for parameter in half.model.parameters()} == {torch.float32}
    assert half.scaler is None if precision == "bfloat16" else half.scaler.scale == 2.0**16


def test_an_overflow_skips_the_update_and_halves_the_scale(shards):
    trainer = make_trainer(shards, precision="float16")
    trainer.train_step()
    trainer.scaler.scale = 2.0**40
    before = copy.deepcopy(trainer.model.state_dict())
    result = trainer.train_step()
    assert result.skipped == "overflow" and trainer.scaler.scale == 2.0**39 and trainer.num_skipped == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.model.state_dict().items())
    for _ in range(40):
        if trainer.train_step().skipped is None:
            break
    assert trainer.scaler.scale < 2.0**39 and not torch.equal(
        before["lm_head.weight"], trainer.model.lm_head.weight.data
    )


def test_an_overflow_that_no_scale_mends_stops(shards):
    trainer = make_trainer(shards, precision="float16")
    trainer.scaler.scale = 1.0
    trainer.model.ln_final.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(NonFiniteError, match=r"step 1: gradient norm is (inf|nan)"):
        trainer.train_step()


def test_the_scale_grows_after_a_long_row_and_survives_its_state():
    scaler = LossScaler(4.0, growth_interval=3)
    for _ in range(2):
        scaler.update(False)
    again = LossScaler(1.0, growth_interval=3)
    again.restore(scaler.state())
    again.update(False)
    assert again.scale == 8.0
    again.update(True)
    assert again.scale == 4.0


def test_spikes_are_told_from_noise():
    torch.manual_seed(0)
    detector = SpikeDetector(8.0, window=64)
    losses = (3 + 0.05 * torch.randn(200)).tolist()
    assert all(detector.deviations(loss) is None for loss in losses)
    assert detector.deviations(4.0) == pytest.approx((4.0 - 3.0) / 0.05, rel=0.8)
    assert detector.deviations(2.0) is None
    # A lasting change is soon the new normal.
    assert sum(detector.deviations(5.0) is not None for _ in range(64)) < 40


def test_a_spike_is_skipped_only_where_that_is_wanted(shards):
    for skip in (False, True):
        trainer = make_trainer(shards, skip_spikes=skip, learning_rate=1e-4, final_lr_fraction=1.0)
        for _ in range(20):
            trainer.train_step()
        with torch.no_grad():
            trainer.model.lm_head.weight.mul_(30)
        before = trainer.model.lm_head.weight.detach().clone()
        result = trainer.train_step()
        assert result.spike > 8 and (result.skipped == "spike") == skip and trainer.num_skipped == skip
        assert torch.equal(before, trainer.model.lm_head.weight) == skip
        assert result.row()["spike"] == result.spike and ("skipped" in result.row()) == skip


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "linear"])
def test_each_group_gets_its_share_of_the_scheduled_rate(shards, schedule):
    trainer = make_trainer(shards, schedule=schedule, learning_rate_multipliers={"embeddings": 3, "vectors": 0.5})
    rates = []
    for _ in range(12):
        result = trainer.train_step()
        rates.append(result.learning_rate)
        by_role = {group["role"]: group["lr"] / result.learning_rate for group in trainer.optimizer.param_groups}
        assert by_role == pytest.approx({"embeddings": 3, "lm_head": 1, "matrices": 1, "vectors": 0.5})
    assert rates[0] == pytest.approx(1.5e-3) and rates[1] == pytest.approx(3e-3) and rates[-1] == pytest.approx(3e-4)
    assert rates[5] == pytest.approx(
        {
            "wsd": 3e-3,
            "linear": 3e-4 + 2.7e-3 * 0.6,
            "cosine": 3e-4 + 2.7e-3 * 0.5 * (1 + math.cos(math.pi * 0.4)),
        }[schedule]
    )


def test_z_loss_is_in_the_gradient_and_not_in_the_logged_loss(shards):
    (plain, expected), (with_z, actual) = gradients(make_trainer(shards)), gradients(make_trainer(shards, z_loss=0.1))
    assert plain.loss == with_z.loss
    assert not torch.equal(expected["lm_head.weight"], actual["lm_head.weight"])


def test_loss_at_the_start_is_that_of_a_uniform_guess(shards):
    model = TransformerLM(preset("tiny_cpu"))
    ids = torch.randint(4096, (8, 129))
    loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(4096), rel=0.02)


@pytest.mark.parametrize(
    "model",
    [
        {"logit_soft_cap": 5.0, "base_width": 16},
        {"num_experts": 4, "expert_balance": "loss"},
        {"num_experts": 4, "expert_balance": "bias"},
        {"layer_pattern": ["ssm", "full"]},
        {"norm_placement": "none", "position": "none", "ffn": "silu"},
    ],
)
@pytest.mark.parametrize("optimizer", ["adamw", "muon", "sgd"])
def test_every_kind_of_model_is_trained(shards, model, optimizer):
    rate = 3e-3
    if optimizer == "sgd":
        rate = 3.0 if "norm_placement" in model else 0.3
    trainer = make_trainer(shards, model=model, optimizer=optimizer, learning_rate=rate, num_steps=30)
    losses = [trainer.train_step().loss for _ in range(30)]
    assert sum(losses[-5:]) < (0.98 if optimizer == "sgd" else 0.95) * sum(losses[:5])


def test_the_soft_cap_is_in_the_loss(shards):
    trainer = make_trainer(shards, model={"logit_soft_cap": 0.5})
    model, loader = copy.deepcopy(trainer.model), copy.deepcopy(trainer.loader)
    ids = loader.next_batch().ids
    expected = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    assert trainer.train_step().loss == pytest.approx(expected.item(), rel=1e-5)


def test_the_balancing_loss_counts_once(shards):
    trainer = make_trainer(shards, model={"num_experts": 4, "balance_weight": 0.5})
    model, loader = copy.deepcopy(trainer.model), copy.deepcopy(trainer.loader)
    _, actual = gradients(trainer)
    ids = loader.next_batch().ids
    loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    (loss + model.auxiliary_loss()).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(actual[name], parameter.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd", "muon"])
def test_width_scaling_keeps_the_steps_of_a_wide_model_as_large_as_the_narrow_ones(shards, optimizer):
    """The coordinate check of Yang et al. 2021: how far ten steps move the stream and the logits, by width."""

    def moved(width, base_width):
        rate = {"adamw": 3e-3, "sgd": 0.05, "muon": 3e-3}[optimizer]
        model = {"d_model": width, "base_width": base_width, "num_heads": 4, "num_kv_heads": 4}
        options = {"learning_rate": rate, "final_lr_fraction": 1.0, "warmup_steps": 0, "max_gradient_norm": 1e9}
        trainer = make_trainer(shards, model=model, optimizer=optimizer, momentum=0.0, weight_decay=0.0, **options)
        ids = trainer.loader.next_batch().ids[:, :-1]
        with torch.no_grad():
            before = trainer.model(ids)
            for _ in range(10):
                with torch.enable_grad():
                    trainer.train_step()
            return (trainer.model(ids) - before).square().mean().sqrt().item()

    scaled = moved(128, 32) / moved(32, 32)
    plain = moved(128, 0) / moved(32, 0)
    assert 0.5 < scaled < 2
    assert abs(math.log(scaled)) < abs(math.log(plain))
