"""Samples of text that the model generates during a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lm.inference.engine import GenerationConfig, generate
from lm.model import TransformerLM

if TYPE_CHECKING:
    from lm.tokenizer import Tokenizer

_TEMPERATURE = 0.8


def sample_text(model: TransformerLM, tokenizer: Tokenizer, num_tokens: int, seed: int) -> str:
    """Return a document from its beginning, at most `num_tokens` long; the same weights and seed give the same text."""
    config = GenerationConfig(max_new_tokens=num_tokens, temperature=_TEMPERATURE)
    end = tokenizer.end_of_text_id
    ((completion,),) = generate(model, [[end]], config, stop_ids=[end], seed=seed)
    return tokenizer.decode(token_id for token_id in completion.token_ids if token_id != end)
