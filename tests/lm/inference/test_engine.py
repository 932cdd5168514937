"""Batched generation equals one prompt at a time, whatever the batches."""

import pytest
import torch

from lm.errors import ConfigurationError, InputError
from lm.inference import GenerationConfig, generate, stream
from lm.inference.engine import _sample
from lm.model import TransformerLM, preset
from tests.lm.model.variants import VARIANTS

PROMPTS = [[5, 9, 2], [7], [1, 2, 3, 4, 5, 6], [8, 8, 8], [3, 3]]


def make_model(switches):
    torch.manual_seed(0)
    # Sharper logits than a fresh model's, so that rounding cannot decide a greedy choice.
    model = TransformerLM(preset("test", **switches)).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(5.0)
    return model


@pytest.fixture(scope="module")
def model():
    return make_model({})


def without_cache(model, prompt, num_tokens, stop_ids):
    """Greedy continuation by running the whole sequence again for every token."""
    ids = list(prompt)
    for _ in range(num_tokens):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
        if ids[-1] in stop_ids:
            break
    return ids[len(prompt) :]


@pytest.mark.parametrize("name", VARIANTS)
def test_greedy_equals_generation_without_a_cache(name):
    model = make_model(VARIANTS[name])
    stop_ids = set(range(40))
    completions = generate(model, PROMPTS, GenerationConfig(max_new_tokens=12, temperature=0.0), stop_ids=stop_ids)
    for prompt, [completion] in zip(PROMPTS, completions, strict=True):
        assert completion.token_ids == without_cache(model, prompt, 12, stop_ids)
        assert completion.finished == (completion.token_ids[-1] in stop_ids)
    lengths = {len(completion.token_ids) for [completion] in completions}
    assert len(lengths) > 1, "rows must end at different steps for this test to test anything"


def test_log_probs_are_the_models(model):
    [[completion]] = generate(model, [[5, 9, 2]], GenerationConfig(max_new_tokens=8, temperature=0.8), stop_ids=())
    ids = torch.tensor([[5, 9, 2, *completion.token_ids]])
    with torch.no_grad():
        log_probs = torch.log_softmax(model(ids)[0] / 0.8, dim=-1)
    wanted = log_probs[2:-1].gather(-1, ids[0, 3:, None]).squeeze(-1)
    torch.testing.assert_close(torch.tensor(completion.log_probs), wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("max_batch", [1, 3, 8, 512])
def test_samples_do_not_depend_on_the_batches(model, max_batch):
    config = GenerationConfig(max_new_tokens=10, temperature=1.0)
    arguments = {"stop_ids": {1, 2, 3, 4, 5, 6, 7}, "num_samples": 3, "seed": 7}
    reference = generate(model, PROMPTS, config, **arguments)
    completions = generate(model, PROMPTS, config, **arguments, max_batch=max_batch)
    assert [[c.token_ids for c in group] for group in completions] == [
        [c.token_ids for c in group] for group in reference
    ]
    assert len({tuple(c.token_ids) for c in reference[0]}) == 3, "samples of one prompt differ"


def test_another_seed_gives_other_samples(model):
    config = GenerationConfig(max_new_tokens=10)
    first, second = (generate(model, PROMPTS, config, stop_ids=(), seed=seed) for seed in (0, 1))
    assert first[0][0].token_ids != second[0][0].token_ids


def test_stream_gives_what_generate_gives(model):
    config = GenerationConfig(max_new_tokens=12, temperature=1.0)
    stop_ids = set(range(20))
    [[completion]] = generate(model, [PROMPTS[0]], config, stop_ids=stop_ids, seed=3)
    streamed = list(stream(model, PROMPTS[0], config, stop_ids=stop_ids, seed=3))
    assert streamed == completion.token_ids[: -1 if completion.finished else None]


def test_the_context_ends_a_completion(model):
    prompt = [1] * (model.config.context_length - 3)
    [[completion]] = generate(model, [prompt], GenerationConfig(max_new_tokens=10), stop_ids=())
    assert len(completion.token_ids) == 3
    assert not completion.finished


def test_each_row_of_a_mixed_batch_ends_where_the_context_does(model):
    room = model.config.context_length
    prompts = [[3] * (room - 2), [4] * (room - 9), [5] * (room // 2)]
    config = GenerationConfig(max_new_tokens=12, temperature=0.0)
    completions = generate(model, prompts, config, stop_ids=())
    assert [len(each.token_ids) for [each] in completions] == [2, 9, 12]
    alone = [generate(model, [prompt], config, stop_ids=())[0][0] for prompt in prompts]
    assert [each.token_ids for [each] in completions] == [each.token_ids for each in alone]


def test_prompts_of_like_length_share_a_batch(monkeypatch):
    """A prompt of more than twice the shortest's tokens begins a batch; before state-space layers any longer one."""
    shapes, hidden = [], TransformerLM.hidden
    monkeypatch.setattr(
        TransformerLM, "hidden", lambda self, ids, **how: shapes.append(tuple(ids.shape)) or hidden(self, ids, **how)
    )
    prompts = [[1] * length for length in (6, 3, 13, 4, 3)]
    config = GenerationConfig(max_new_tokens=1)
    generate(make_model({}), prompts, config, stop_ids=())
    assert shapes == [(4, 6), (1, 13)]
    shapes.clear()
    generate(make_model(VARIANTS["hybrid"]), prompts, config, stop_ids=())
    assert shapes == [(2, 3), (1, 4), (1, 6), (1, 13)]


@pytest.mark.parametrize("length", [0, 32])
def test_a_prompt_that_does_not_fit_is_named(model, length):
    with pytest.raises(InputError, match=f"prompt: {length} tokens, expected 1 to 31"):
        generate(model, [[1] * length], GenerationConfig(), stop_ids=())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_finite_logits_are_not_taken_for_damaged_weights(dtype):
    logits = torch.full((2, 50_000), 5.0, dtype=dtype)  # the sum is beyond float16
    token_ids, _ = _sample(logits, torch.tensor([0.2, 0.8]), GenerationConfig())
    assert 0 < token_ids[0] < token_ids[1]
    for wrong in (torch.nan, torch.inf, -torch.inf):
        logits[1, 7] = wrong
        with pytest.raises(InputError, match="not finite"):
            _sample(logits, torch.tensor([0.2, 0.8]), GenerationConfig())


def test_damaged_weights_are_named(model):
    broken = TransformerLM(preset("test"))
    with torch.no_grad():
        broken.lm_head.weight[3, 0] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        generate(broken, [[1]], GenerationConfig(), stop_ids=())


@pytest.mark.parametrize(
    "values",
    [{"max_new_tokens": 0}, {"temperature": -1.0}, {"temperature": float("nan")}, {"top_k": 0}, {"top_p": 0.0}],
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(ConfigurationError, match=next(iter(values))):
        GenerationConfig(**values)


def test_a_higher_limit_neither_changes_nor_costs_anything(model):
    many = [
        [completion.token_ids for completion in group]
        for limit in (4, 9, 10**15)
        for group in generate(
            model, PROMPTS, GenerationConfig(max_new_tokens=limit), stop_ids=(), num_samples=3, seed=5
        )
    ]
    for short, longer, whole in zip(*(many[i * len(PROMPTS) :][: len(PROMPTS)] for i in range(3)), strict=True):
        assert [ids[:4] for ids in longer] == short and [ids[:9] for ids in whole] == longer


def test_no_more_rows_at_a_time_than_allowed(model, monkeypatch):
    rows, hidden = [], TransformerLM.hidden
    monkeypatch.setattr(
        TransformerLM, "hidden", lambda self, ids, **how: rows.append(len(ids)) or hidden(self, ids, **how)
    )
    config = GenerationConfig(max_new_tokens=3)
    cut = generate(model, PROMPTS, config, stop_ids=(), num_samples=7, seed=1, max_batch=3)
    assert max(rows) == 3
    whole = generate(model, PROMPTS, config, stop_ids=(), num_samples=7, seed=1)
    assert [[c.token_ids for c in group] for group in cut] == [[c.token_ids for c in group] for group in whole]


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_named(model, seed):
    with pytest.raises(ConfigurationError, match=r"seed: .*, expected at least 0 and below"):
        generate(model, [[1]], GenerationConfig(), stop_ids=(), seed=seed)
    generate(model, [[1]], GenerationConfig(max_new_tokens=1), stop_ids=(), seed=2**63 - 1)
