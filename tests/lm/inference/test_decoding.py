"""Decoding over fixed buffers: the tokens of decoding over a growing cache, whatever the model."""

import pytest
import torch

from lm.inference import KVCache, engine
from lm.inference.decoding import FixedCache, Graphed, Stepwise, make_decoder
from lm.inference.engine import GenerationConfig, generate, stream
from lm.inference.weights import decoding_model, decoding_twin
from lm.model import TransformerLM, attention, mlp, preset, transformer
from tests.lm.inference.test_engine import PROMPTS, make_model
from tests.lm.model.variants import VARIANTS

GREEDY = GenerationConfig(max_new_tokens=12, temperature=0.0)


@pytest.fixture
def fixed(monkeypatch):
    """Generation with fixed buffers, on a CPU too, and few keys at a time, so that they grow on the way."""
    monkeypatch.setattr("lm.inference.decoding.KEYS", 4)
    monkeypatch.setattr(engine, "make_decoder", Graphed)
    monkeypatch.setattr(engine, "can_share_prefixes", lambda model: False)


@pytest.mark.parametrize("name", VARIANTS)
def test_fixed_buffers_give_the_tokens_of_a_growing_cache(name, request):
    model = make_model(VARIANTS[name])
    stop_ids = set(range(40))
    expected = generate(model, PROMPTS, GREEDY, stop_ids=stop_ids, num_samples=2)
    request.getfixturevalue("fixed")
    found = generate(model, PROMPTS, GREEDY, stop_ids=stop_ids, num_samples=2)
    for ours, theirs in zip(found, expected, strict=True):
        assert [one.token_ids for one in ours] == [one.token_ids for one in theirs]
        for one, other in zip(ours, theirs, strict=True):
            torch.testing.assert_close(torch.tensor(one.log_probs), torch.tensor(other.log_probs), rtol=1e-4, atol=1e-4)
    assert (
        list(stream(model, PROMPTS[0], GREEDY, stop_ids=()))
        == generate(model, PROMPTS[:1], GREEDY, stop_ids=())[0][0].token_ids
    )


def test_a_step_changes_nothing_but_the_contents_of_its_buffers():
    model = make_model(VARIANTS["hybrid"])
    cache = KVCache(model.config, batch=2, capacity=16)
    with torch.no_grad():
        model.hidden(torch.randint(128, (2, 5)), kv_cache=cache)
        decode = Graphed(model, cache)
        held = [*cache.buffers(1), *cache.states[0], decode._fixed.position, decode._ids]
        places = [part.data_ptr() for part in held]
        for _ in range(3):
            decode(torch.tensor([1, 2]))
    assert [part.data_ptr() for part in (*cache.buffers(1), *cache.states[0], *held[-2:])] == places
    assert cache.length == int(decode._fixed.position) == 8


def test_numbers_that_lay_in_the_buffers_before_do_no_harm(fixed, monkeypatch):
    model = make_model({})
    expected = generate(model, PROMPTS, GREEDY, stop_ids=())
    empty = torch.empty
    monkeypatch.setattr(torch, "empty", lambda *shape, **options: empty(*shape, **options).fill_(float("nan")))
    assert generate(model, PROMPTS, GREEDY, stop_ids=()) == expected


def test_a_fixed_cache_shows_the_keys_up_to_its_position():
    cache = KVCache(preset("test"), batch=1, capacity=8)
    cache.advance(2)
    fixed = FixedCache(cache, torch.device("cpu"))
    fixed.num_keys = 4
    assert fixed.mask(1).flatten().tolist() == [True, True, True, False]
    keys, _ = fixed.update(0, torch.ones(1, 2, 1, 8), torch.ones(1, 2, 1, 8))
    assert keys.shape[2] == 4 and keys[0, 0, 2:, 0].tolist() == [1, 0]


def test_a_cpu_decodes_step_by_step():
    model = TransformerLM(preset("test"))
    assert isinstance(make_decoder(model, KVCache(model.config, batch=1, capacity=4)), Stepwise)
    assert decoding_model(model) is model


@pytest.mark.parametrize("name", ["default", "qk_norm", "geglu", "gpt2", "experts", "hybrid", "latent", "mup"])
def test_the_twin_for_decoding_computes_the_same_without_copying_a_weight(name, monkeypatch):
    for module in (attention, mlp, transformer):
        monkeypatch.setattr(module, "takes_gpu_path", lambda x: True)
    model = make_model(VARIANTS[name])
    twin = decoding_twin(model)
    ids = torch.randint(128, (2, 9))
    with torch.no_grad():
        torch.testing.assert_close(twin(ids), model(ids), rtol=1e-4, atol=1e-4)
        monkeypatch.setattr(torch, "cat", _refused(torch.cat))
        twin.logits(twin.hidden(ids))
    assert not any(weight.requires_grad for weight in twin.parameters())
    assert all(weight.requires_grad for weight in model.parameters())


def _refused(cat):
    def refuse(parts, *arguments, **options):
        assert not all(isinstance(part, torch.nn.Parameter) and part.ndim > 1 for part in parts), "weights were copied"
        return cat(parts, *arguments, **options)

    return refuse


def test_the_twin_has_matrices_in_the_type_of_products_and_the_rest_in_float32():
    model = TransformerLM(preset("test"))
    model.compute_type = torch.bfloat16
    twin = decoding_twin(model)
    types = {name: weight.dtype for name, weight in twin.named_parameters()}
    assert types["layers.0.attn.q_proj.weight"] == types["layers.1.ffn.w2.weight"] == torch.bfloat16
    assert types["token_embeddings.weight"] == types["layers.0.ln1.weight"] == torch.float32
    assert twin.padded_head.dtype == torch.bfloat16 and len(twin.padded_head) == 128
    with torch.no_grad():
        logits = model(torch.tensor([[1, 2, 3]]))
        torch.testing.assert_close(twin(torch.tensor([[1, 2, 3]])), logits, rtol=2e-2, atol=2e-2)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["default", "window", "latent", "hybrid", "experts"])
def test_graphs_give_the_tokens_of_steps(name, monkeypatch):
    model = make_model(VARIANTS[name]).cuda()
    found = generate(model, PROMPTS, GREEDY, stop_ids=())
    monkeypatch.setattr(engine, "make_decoder", Stepwise)
    expected = generate(model, PROMPTS, GREEDY, stop_ids=())
    assert [one[0].token_ids for one in found] == [one[0].token_ids for one in expected]
