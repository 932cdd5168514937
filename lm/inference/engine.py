"""Batched generation.

Decisions:
- Prompts of like length share a batch: the shorter ones are padded on the left, and the padding is masked, so batched
  results are those of each prompt alone, up to float rounding. State-space layers read what they are given, so with
  them only prompts of equal length share a batch.
- A prompt is read once. On a CPU its samples share its keys and values (`lm.inference.shared_prefix`), so padding
  costs little there and short prompts share a batch whatever their lengths; elsewhere each sample has a copy.
- Rows that have ended leave the batch when a quarter of it is idle; a batch stops when all have ended.
- Every sample has its own uniform number at each step, drawn from `seed` when the first batch gets there: a completion
  depends neither on how the batches were cut nor on `max_new_tokens`, and a high limit costs nothing.
- On a GPU a step is one CUDA graph (`lm.inference.decoding`) over weights that were cast once (`lm.inference.weights`).

Not covered: continuous batching of requests that arrive over time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lm.configuration import Doc, Range, settle
from lm.errors import ConfigurationError, InputError
from lm.inference.decoding import make_decoder
from lm.inference.kv_cache import KVCache
from lm.inference.sampling import sample
from lm.inference.shared_prefix import SharedPrefixCache, can_share_prefixes
from lm.inference.weights import decoding_model
from lm.model import TransformerLM

_SHORT = 128
"""Prompts up to this length share a batch where samples share their keys: fewer, larger products are worth more."""


@dataclass(frozen=True, kw_only=True)
class GenerationConfig:
    """Sampling settings: temperature 0 is greedy; `top_k` and `top_p` restrict the draw where they are set."""

    max_new_tokens: Annotated[int, Doc("Maximum length of a continuation, in tokens."), Range(1)] = 128
    temperature: Annotated[float, Doc("Sampling temperature; 0 is greedy decoding."), Range(0)] = 1.0
    top_k: Annotated[int | None, Doc("Top-k sampling: sample from the k most likely tokens."), Range(1)] = None
    top_p: Annotated[
        float | None,
        Doc("Nucleus sampling: sample from the fewest most likely tokens with at least this total probability."),
        Range(above=0, most=1),
    ] = None

    def __post_init__(self) -> None:
        settle(self)


@dataclass(frozen=True, slots=True)
class Completion:
    """The continuation of a prompt: the ids with the stop id, each id's log-probability, and whether a stop id ended
    it.
    """

    token_ids: list[int]
    log_probs: list[float]
    finished: bool


@torch.no_grad()
def generate(
    model: TransformerLM,
    prompts: Sequence[Sequence[int]],
    config: GenerationConfig,
    *,
    stop_ids: Collection[int],
    num_samples: int = 1,
    seed: int = 0,
    max_batch: int = 512,
) -> list[list[Completion]]:
    """Return `num_samples` completions of each prompt, in the order of the prompts; at most `max_batch` rows at a time.

    The log-probabilities are those of the distribution drawn from (temperature and restriction applied). A completion
    also ends where the model's context does.

    Raises:
        InputError: an empty prompt, one that fills the context, or a model whose logits are not finite.
    """
    model = decoding_model(model)
    draws = _Draws(seed, len(prompts), num_samples)
    completions: list[list[Completion]] = [[] for _ in prompts]
    mixed = not model.config.num_layers_of("ssm")
    shares = num_samples > 1 and can_share_prefixes(model)
    for members in _batches(prompts, max(1, max_batch // num_samples), mixed=mixed, floor=_SHORT if shares else 0):
        batch = [prompts[i] for i in members]
        for samples in torch.arange(num_samples).split(max_batch):
            owners = torch.cartesian_prod(torch.tensor(members), samples)
            rows = _continue_batch(model, batch, owners, draws, config, stop_ids)
            for position, i in enumerate(members):
                completions[i] += rows[position * len(samples) : (position + 1) * len(samples)]
    return completions


@torch.no_grad()
def stream(
    model: TransformerLM, prompt: Sequence[int], config: GenerationConfig, *, stop_ids: Collection[int], seed: int = 0
) -> Iterator[int]:
    """Yield the ids that follow one prompt, as they are drawn; the same ids as `generate`'s first sample. The stop id
    is not given out.
    """
    draws, alone = _Draws(seed, 1, 1), torch.zeros((1, 2), dtype=torch.long)
    model = decoding_model(model)
    cache, logits = _read_prompts(model, [prompt], config.max_new_tokens)
    decode = make_decoder(model, cache)
    for step in range(cache.capacity - cache.length):
        token_ids, _ = _sample(logits, draws.at(step, alone), config)
        if int(token_ids) in stop_ids:
            return
        yield int(token_ids)
        logits = decode(token_ids)


def _continue_batch(
    model: TransformerLM,
    prompts: Sequence[Sequence[int]],
    owners: Int[Tensor, "rows 2"],
    draws: _Draws,
    config: GenerationConfig,
    stop_ids: Collection[int],
) -> list[Completion]:
    """Continue each prompt of the batch as often as `owners` (prompt, sample) has rows for it."""
    cache, logits = _read_prompts(model, prompts, config.max_new_tokens)
    num_rows, device = len(owners), model.device
    live = torch.arange(num_rows, device=device)  # which completion each row of the batch continues
    repeated = live // (num_rows // len(prompts))
    steps, shares = cache.capacity - cache.length, num_rows > len(prompts) and can_share_prefixes(model)
    rows = SharedPrefixCache(cache, repeated, steps) if shares else cache.select(repeated)
    decode, logits = make_decoder(model, rows), logits[repeated]
    stops = torch.tensor(sorted(stop_ids), dtype=torch.long, device=device)
    drawn_ids = torch.zeros((num_rows, steps), dtype=torch.long, device=device)
    drawn_log_probs = torch.zeros((num_rows, steps), device=device)
    rooms = [min(steps, model.config.context_length - len(prompt)) for prompt in prompts]
    lengths = torch.tensor(rooms, device=device)[repeated]
    finished = torch.zeros(num_rows, dtype=torch.bool, device=device)
    for step in range(steps):
        token_ids, log_probs = _sample(logits, draws.at(step, owners)[live.cpu()], config)
        drawn_ids[live, step], drawn_log_probs[live, step] = token_ids, log_probs.float()
        ended = live[torch.isin(token_ids, stops) & (step < lengths[live])]
        finished[ended], lengths[ended] = True, step + 1
        running = (step + 1 < lengths[live]).nonzero().squeeze(-1)
        if len(running) == 0 or step + 1 == steps:
            break
        if len(running) <= 0.75 * len(live):
            live, token_ids = live[running], token_ids[running]
            decode = make_decoder(model, decode.cache.select(running))
        logits = decode(token_ids)
    return [
        Completion(drawn_ids[row, :length].tolist(), drawn_log_probs[row, :length].tolist(), bool(finished[row]))
        for row, length in enumerate(lengths.tolist())
    ]


def _read_prompts(
    model: TransformerLM, prompts: Sequence[Sequence[int]], max_new_tokens: int
) -> tuple[KVCache, Float[Tensor, "batch vocab"]]:
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    shortest, longest = int(lengths.min()), int(lengths.max())
    context_length = model.config.context_length
    for seq in (shortest, longest):
        if not 0 < seq < context_length:
            raise InputError(
                f"prompt: {seq} tokens, expected 1 to {context_length - 1} for a context of {context_length}"
            )
    padding = None if shortest == longest else (longest - lengths).to(model.device)
    cache = KVCache(
        model.config,
        batch=len(prompts),
        capacity=longest + min(max_new_tokens, context_length - shortest),
        padding=padding,
        dtype=model.cache_type,
        device=model.device,
    )
    ids = torch.tensor([[0] * (longest - len(prompt)) + list(prompt) for prompt in prompts], device=model.device)
    counted = None if padding is None else torch.arange(longest, device=model.device) >= padding[:, None]
    hidden = model.hidden(ids, positions=cache.positions(longest), kv_cache=cache, counted=counted)
    return cache, model.logits(hidden[:, -1])


def _sample(logits: Tensor, uniforms: Tensor, config: GenerationConfig) -> tuple[Tensor, Tensor]:
    # Of finite float32 logits the sum in float32 is finite, unless they are of the order of 1e38 / vocabulary; that of
    # float16 is not: it ends at 65,504.
    if not torch.isfinite(logits.sum(dtype=torch.promote_types(logits.dtype, torch.float32))):
        raise InputError("model: its logits are not finite; its weights are damaged or its training diverged")
    uniforms = uniforms.to(logits.device)
    return sample(logits, uniforms, temperature=config.temperature, top_k=config.top_k, top_p=config.top_p)


def _batches(prompts: Sequence[Sequence[int]], max_prompts: int, *, mixed: bool, floor: int) -> Iterator[list[int]]:
    """Yield indices of prompts, cut into batches of like length, shortest first; of equal length unless `mixed`.

    The longest prompt of a batch has at most twice the tokens of its shortest: less than half of a batch is padding.
    Prompts of up to `floor` tokens are alike.
    """
    batch: list[int] = []
    for i in sorted(range(len(prompts)), key=lambda i: len(prompts[i])):
        shortest = len(prompts[batch[0]]) if batch else 0
        longest = max(2 * shortest, floor) if mixed else shortest
        if batch and (len(batch) == max_prompts or len(prompts[i]) > longest):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


class _Draws:
    """One uniform number a step for each sample of each prompt; on the CPU, so that a seed gives the same on every
    device. Steps are drawn in their order, when they are first needed.
    """

    def __init__(self, seed: int, num_prompts: int, num_samples: int) -> None:
        """Raises:
        ConfigurationError: a seed that torch does not take.
        """
        if not 0 <= seed < 2**63:
            raise ConfigurationError(f"seed: {seed}, expected at least 0 and below 2^63")
        self._generator = torch.Generator().manual_seed(seed)
        self._shape, self._steps = (num_prompts, num_samples), list[Tensor]()

    def at(self, step: int, owners: Int[Tensor, "rows 2"]) -> Float[Tensor, " rows"]:
        """Return the numbers of the samples `owners` (prompt, sample)."""
        while len(self._steps) <= step:
            self._steps.append(torch.rand(self._shape, generator=self._generator, dtype=torch.float64))
        return self._steps[step][owners[:, 0], owners[:, 1]]
