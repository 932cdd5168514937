"""Compute settings on a model: types, compiler, recomputation, and steps without graph breaks or host waits."""

import copy

import pytest
import torch

from lm.errors import ConfigurationError
from lm.model import TransformerLM, preset
from lm.shards import TokenShards
from lm.training.compute import chosen_unit, prepare
from lm.training.config import PretrainConfig
from lm.training.loss import cross_entropy
from tests.lm.model.variants import VARIANTS
from tests.lm.training.test_trainer import make_trainer

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
SHAPES = {name: VARIANTS[name] for name in ("gpt2", "sandwich", "window", "latent", "hybrid")}


def loss_of(model, ids, **options):
    logits = model(ids[:, :-1], **options)
    return cross_entropy(logits, ids[:, 1:]) + model.auxiliary_loss()


def test_auto_is_off_on_a_cpu_and_blocks_on_a_gpu():
    assert chosen_unit("auto", torch.device("cpu")) == "off"
    assert chosen_unit("auto", torch.device("cuda")) == "blocks"
    assert chosen_unit("model", torch.device("cuda")) == "model"


@pytest.mark.parametrize("switches", SHAPES.values(), ids=SHAPES)
def test_a_layer_and_the_whole_model_have_no_graph_break(switches):
    model = TransformerLM(preset("test", **switches))
    ids = torch.randint(128, (2, 33))
    documents = torch.arange(32).div(10, rounding_mode="floor").expand(2, 32)
    torch._dynamo.reset()
    explained = torch._dynamo.explain(lambda ids: loss_of(model, ids, document_ids=documents))(ids)
    assert explained.graph_break_count == 0, explained.break_reasons
    assert explained.graph_count == 1


@pytest.mark.parametrize("switches", [{"num_layers": 9}, {"num_layers": 9, "num_experts": 4, "d_ff": 96}])
def test_layers_of_one_kind_share_their_code(switches):
    """Nine layers are more than the compiler would make code for, one by one."""
    torch._dynamo.reset()
    model = TransformerLM(preset("test", **switches))
    compilations = []

    def backend(graph, inputs):
        compilations.append(graph)
        return graph.forward

    compiled = [torch.compile(layer.forward, backend=backend) for layer in model.layers]
    for layer, forward in zip(model.layers, compiled, strict=True):
        layer.forward = forward
    ids = torch.randint(128, (2, 33))
    loss_of(model, ids).backward()
    # On a CPU experts break the graph where their loads are read; each piece is still compiled once.
    assert 1 <= len(compilations) < (9 if model.config.num_experts else 2)


@pytest.mark.parametrize("unit", ["blocks", "model"])
def test_a_compiled_model_has_the_gradients_of_an_eager_one(unit, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda forward: torch._dynamo.optimize("eager")(forward))
    torch.manual_seed(0)
    eager = TransformerLM(preset("test"))
    model = copy.deepcopy(eager)
    prepare(model, compile=unit, recomputation="selective")
    ids = torch.randint(128, (2, 33))
    for one in (eager, model):
        loss_of(one, ids).backward()
    for (name, expected), found in zip(eager.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, msg=name)


def test_a_copy_of_a_compiled_model_computes_with_its_own_weights(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda forward: forward)
    model = TransformerLM(preset("test"))
    prepare(model, compile="blocks")
    twin = copy.deepcopy(model)
    ids = torch.randint(128, (1, 9))
    before = model(ids)
    with torch.no_grad():
        for weight in twin.parameters():
            weight.zero_()
    assert torch.equal(model(ids), before) and not twin(ids).any()


def test_the_compiler_is_left_out_without_gradients_and_beside_a_cache(monkeypatch):
    def refuse(forward):
        def compiled(*_, **__):
            raise AssertionError("compiled")

        return compiled

    monkeypatch.setattr(torch, "compile", refuse)
    from lm.inference import KVCache

    model = TransformerLM(preset("test"))
    prepare(model, compile="blocks")
    ids = torch.randint(128, (1, 9))
    with torch.no_grad():
        model(ids)
    model(ids, kv_cache=KVCache(model.config, batch=1, capacity=9))
    with pytest.raises(AssertionError, match="compiled"):
        model(ids)


def test_the_type_of_products_holds_for_whoever_calls_the_model():
    model = TransformerLM(preset("test"))
    ids = torch.randint(128, (1, 9))
    exact = model(ids)
    assert prepare(model, precision="bfloat16") == torch.bfloat16
    rounded = model(ids)
    assert rounded.dtype == torch.bfloat16 and model.cache_type == torch.bfloat16
    assert 0 < (rounded - exact).abs().max() < 0.1
    assert prepare(model, precision="auto") == torch.float32 and torch.equal(model(ids), exact)


def test_experts_under_the_compiler_are_refused_with_selective_recomputation():
    model = TransformerLM(preset("test", num_experts=4))
    with pytest.raises(ConfigurationError, match="recomputation: selective, expected none or blocks"):
        prepare(model, compile="blocks", recomputation="selective")


@pytest.mark.parametrize("name", ["default", "gpt2", "sandwich", "experts", "hybrid", "latent"])
def test_a_bfloat16_stream_rounds_every_addition_and_nothing_else(name):
    torch.manual_seed(0)
    model = TransformerLM(preset("test", **VARIANTS[name]))
    ids = torch.randint(128, (2, 33))
    exact = model(ids[:, :-1])
    prepare(model, residual_stream="bfloat16")
    seen = []
    for layer in model.layers:
        layer.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0].dtype, output.dtype)))
    rounded = model(ids[:, :-1])
    assert seen == [(torch.bfloat16, torch.bfloat16)] * len(model.layers) and rounded.dtype == torch.float32
    assert 0 < (rounded - exact).abs().max() < 0.05 * exact.abs().max()
    loss_of(model, ids).backward()
    assert all(weight.grad is None or weight.grad.dtype == torch.float32 for weight in model.parameters())


def test_a_bfloat16_stream_is_refused_where_no_norm_widens_it():
    for placement in ("post", "none"):
        with pytest.raises(ConfigurationError, match="residual_stream: bfloat16 with norm_placement"):
            prepare(TransformerLM(preset("test", norm_placement=placement)), residual_stream="bfloat16")


def test_the_compiler_stays_out_of_weights_in_slices():
    assert PretrainConfig(num_steps=1, data_parallel="fsdp").compilation == "off"
    assert PretrainConfig(num_steps=1, data_parallel="zero1", compile="blocks").compilation == "blocks"
    with pytest.raises(ConfigurationError, match="compile: blocks, expected auto or off with data_parallel = fsdp"):
        PretrainConfig(num_steps=1, data_parallel="fsdp", compile="blocks")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("unit", ["off", "blocks"])
def test_a_step_waits_for_the_gpu_once(unit, shards):
    """Forward, backward, clipping and the optimizer's step, under torch's warning about waits."""
    trainer = make_trainer(TokenShards.open(shards), device="cuda", compile=unit, optimizer="adamw")
    trainer.train_step()
    with pytest.warns(UserWarning) as waits:
        torch.cuda.set_sync_debug_mode("warn")
        try:
            trainer.train_step()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert len([w for w in waits if "synchroniz" in str(w.message)]) == 1
