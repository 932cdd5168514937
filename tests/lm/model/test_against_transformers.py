"""Whole models and single layers against those of `transformers` with the same random weights: logits to 1e-5,
gradients to 1e-4, in float32.
"""

import math

import pytest
import torch

from lm.model import Context, LatentAttention, MixtureOfExperts, StateSpaceLayer, TransformerLM, preset
from lm.model.rope import rotary_embedding

transformers = pytest.importorskip("transformers", reason="the extra `hf` is not installed")

SHAPE = {"vocab_size": 128, "context_length": 64, "d_model": 32, "num_layers": 2, "num_heads": 4}
LLAMA_NAMES = {
    "token_embeddings": "model.embed_tokens",
    "lm_head": "lm_head",
    "ln_final": "model.norm",
    "ln1": "input_layernorm",
    "ln2": "post_attention_layernorm",
    "attn.q_proj": "self_attn.q_proj",
    "attn.k_proj": "self_attn.k_proj",
    "attn.v_proj": "self_attn.v_proj",
    "attn.output_proj": "self_attn.o_proj",
    "attn.q_norm": "self_attn.q_norm",
    "attn.k_norm": "self_attn.k_norm",
    "ffn.w1": "mlp.gate_proj",
    "ffn.w2": "mlp.down_proj",
    "ffn.w3": "mlp.up_proj",
}


def llama(name, theirs):
    """The tensor of a Llama or Qwen3 that our `name` stands for."""
    part, kind = name.rsplit(".", 1)
    place = part.split(".", 2)
    if place[0] == "layers":
        return theirs[f"model.layers.{place[1]}.{LLAMA_NAMES[place[2]]}.{kind}"]
    return theirs[f"{LLAMA_NAMES[part]}.{kind}"]


def gpt2(name, theirs):
    """The same of a GPT-2, which keeps matrices transposed and q, k, v in one."""
    part, kind = name.rsplit(".", 1)
    outer = {"token_embeddings": "wte", "position_embeddings": "wpe", "ln_final": "ln_f"}
    if part in outer:
        return theirs[f"transformer.{outer[part]}.{kind}"]
    if part == "lm_head":
        return theirs["lm_head.weight"]
    _, index, place = part.split(".", 2)
    inner = {
        "ln1": "ln_1",
        "ln2": "ln_2",
        "ffn.w1": "mlp.c_fc",
        "ffn.w2": "mlp.c_proj",
        "attn.output_proj": "attn.c_proj",
    }
    if place in inner:
        found = theirs[f"transformer.h.{index}.{inner[place]}.{kind}"]
        return found.T if found.ndim == 2 else found
    joined = theirs[f"transformer.h.{index}.attn.c_attn.{kind}"]
    third = "qkv".index(place[len("attn.")])
    chosen = joined.chunk(3, dim=-1)[third]
    return chosen.T if chosen.ndim == 2 else chosen


def shared(config, kind, **changes):
    """Their configuration of our shape."""
    return kind(
        vocab_size=config.vocab_size,
        hidden_size=config.d_model,
        intermediate_size=config.d_ff,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        num_key_value_heads=config.num_kv_heads,
        head_dim=config.d_head,
        max_position_embeddings=config.context_length,
        rms_norm_eps=config.norm_epsilon,
        tie_word_embeddings=config.tie_embeddings,
        **changes,
    )


def make_llama():
    config = preset("llama_1b", **SHAPE, num_kv_heads=2, d_ff=96, rope_factor=1.0, rope_original_context=0)
    rope = {"rope_type": "default", "rope_theta": config.rope_theta}
    theirs = transformers.LlamaForCausalLM(shared(config, transformers.LlamaConfig, rope_parameters=rope))
    return config, theirs, llama


def make_llama_3():
    # The four pairs turn 5.1, 1.9, 0.7 and 0.3 times in 32 positions: one stays, one lies between, two are stretched.
    stretched = {"rope_theta": 50.0, "rope_original_context": 32, "tie_embeddings": False}
    config = preset("llama_1b", **SHAPE, num_kv_heads=2, d_ff=96, **stretched)
    rope = {
        "rope_type": "llama3",
        "rope_theta": config.rope_theta,
        "factor": config.rope_factor,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    }
    theirs = transformers.LlamaForCausalLM(shared(config, transformers.LlamaConfig, rope_parameters=rope))
    return config, theirs, llama


def make_qwen3():
    config = preset("qwen3_0_6b", **SHAPE, num_kv_heads=2, d_head=16, d_ff=96)
    rope = {"rope_type": "default", "rope_theta": config.rope_theta}
    theirs = transformers.Qwen3ForCausalLM(shared(config, transformers.Qwen3Config, rope_parameters=rope))
    return config, theirs, llama


def make_gpt2():
    config = preset("gpt2_124m", **SHAPE)
    settings = transformers.GPT2Config(
        vocab_size=128, n_positions=64, n_embd=32, n_layer=2, n_head=4, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0
    )
    return config, transformers.GPT2LMHeadModel(settings), gpt2


@torch.no_grad()
def randomize(module):
    """Weights that no term of the result can hide behind."""
    for parameter in module.parameters():
        if parameter.ndim >= 2:
            torch.nn.init.normal_(parameter, std=1 / math.sqrt(parameter.shape[-1]))
        else:
            parameter.add_(torch.randn_like(parameter), alpha=0.1)


@pytest.mark.parametrize("attention", ["fused", "reference"])
@pytest.mark.parametrize("make", [make_llama, make_llama_3, make_qwen3, make_gpt2])
def test_logits_and_gradients_are_theirs(make, attention):
    torch.manual_seed(0)
    config, theirs, translate = make()
    randomize(theirs)
    ours = TransformerLM(preset("test", **{**_fields(config), "attention": attention}))
    weights = dict(theirs.named_parameters(remove_duplicate=False))
    ours.load_state_dict({name: translate(name, weights) for name in ours.state_dict()})
    ids = torch.randint(128, (2, 65))
    results = ours(ids[:, :-1]), theirs(ids[:, :-1]).logits
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)
    for logits in results:
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten()).backward()
    gradients = {name: weight.grad for name, weight in weights.items()}
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, translate(name, gradients), rtol=1e-4, atol=1e-4, msg=name)


def _fields(config):
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def test_latent_attention_is_deepseeks():
    module = pytest.importorskip("transformers.models.deepseek_v3.modeling_deepseek_v3")
    torch.manual_seed(0)
    config = preset("test", num_kv_heads=4, latent_rank=12, query_rank=20, d_rope=4, norm_epsilon=1e-6)
    settings = transformers.DeepseekV3Config(
        hidden_size=32, num_attention_heads=4, num_key_value_heads=4, q_lora_rank=20, kv_lora_rank=12,
        qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=8, attn_implementation="eager",
    )  # fmt: skip
    theirs, ours = module.DeepseekV3Attention(settings, 0), LatentAttention(config)
    randomize(theirs)
    joined = theirs.kv_b_proj.weight.unflatten(0, (4, 16))
    ours.load_state_dict(
        {
            "q_down_proj.weight": theirs.q_a_proj.weight,
            "q_norm.weight": theirs.q_a_layernorm.weight,
            "q_proj.weight": theirs.q_b_proj.weight,
            "kv_down_proj.weight": theirs.kv_a_proj_with_mqa.weight,
            "kv_norm.weight": theirs.kv_a_layernorm.weight,
            "k_proj.weight": joined[:, :8].flatten(0, 1),
            "v_proj.weight": joined[:, 8:].flatten(0, 1),
            "output_proj.weight": theirs.o_proj.weight,
        }
    )
    x, rotation = torch.randn(2, 32, 32), rotary_embedding(config).at(torch.arange(32))
    tables = [torch.cat([table, table], dim=-1).squeeze(1)[None] for table in (rotation.cos, rotation.sin)]
    ahead = torch.full((32, 32), -math.inf).triu(1)[None, None]
    expected, _ = theirs(x, tables, ahead)
    torch.testing.assert_close(ours(x, Context(rotation=rotation)), expected, rtol=1e-5, atol=1e-5)


def test_mixture_of_experts_is_qwens():
    module = pytest.importorskip("transformers.models.qwen3_moe.modeling_qwen3_moe")
    torch.manual_seed(0)
    settings = transformers.Qwen3MoeConfig(
        hidden_size=32, moe_intermediate_size=24, num_experts=8, num_experts_per_tok=3, norm_topk_prob=True
    )
    settings._experts_implementation = "eager"
    theirs = module.Qwen3MoeSparseMoeBlock(settings)
    ours = MixtureOfExperts(preset("test", d_ff=24, num_experts=8, experts_per_token=3))
    randomize(theirs)
    gate, up = theirs.experts.gate_up_proj.chunk(2, dim=1)
    state = {"router.weight": theirs.gate.weight, "w1": gate, "w3": up, "w2": theirs.experts.down_proj}
    ours.load_state_dict(state)
    x = torch.randn(2, 40, 32)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-5, atol=1e-5)


def test_state_space_layer_is_mamba_2s():
    module = pytest.importorskip("transformers.models.mamba2.modeling_mamba2")
    torch.manual_seed(0)
    settings = transformers.Mamba2Config(
        hidden_size=32, num_heads=8, head_dim=8, state_size=16, n_groups=1, expand=2, chunk_size=16, num_hidden_layers=1
    )
    theirs = module.Mamba2Mixer(settings, 0)
    ours = StateSpaceLayer(preset("test", layer_pattern=("ssm",), d_state=16))
    randomize(theirs)
    names = {
        "in_proj.weight": "in_proj.weight",
        "conv_weight": "conv1d.weight",
        "conv_bias": "conv1d.bias",
        "a_log": "A_log",
        "dt_bias": "dt_bias",
        "skip": "D",
        "norm.weight": "norm.weight",
        "output_proj.weight": "out_proj.weight",
    }
    weights = dict(theirs.named_parameters())
    ours.load_state_dict({name: weights[their_name] for name, their_name in names.items()})
    x = torch.randn(2, 150, 32)
    results = ours(x), theirs(x)
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)
    for result in results:
        result.square().mean().backward()
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, weights[names[name]].grad, rtol=1e-4, atol=1e-4, msg=name)
