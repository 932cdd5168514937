"""Training recipes by preset: the batch, optimizer, learning rate, warm-up and precision of a run that names no others.

Sources:
- `gpt2_*`: batch and rate of Brown et al. 2020, table 2.1; warm-up over 375 million tokens, appendix B. AdamW's β₂ of
  0.95 and its decay of 0.1 are defaults of `PretrainConfig`.
- `llama_*` and `qwen3_*`: no rates are published for these sizes. The 1B shape takes those of OLMo 2 1B (OLMo et al.
  2024, arXiv:2501.00656: 4e-4, 2 million tokens per step, 2,000 steps), larger shapes lower rates and smaller ones half
  the batch. Qwen3 starts with contexts of 4,096 tokens (Yang et al. 2025, arXiv:2505.09388, section 3.2).
- `test`, `tiny_cpu`, `small_cpu`: chosen on short runs of the demo.

By `lm.accounting` every recipe fits a GPU of 80 GB, the one of `gpt2_124m` 24 GB. Their speed is not measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Settings of a training run. Batches are counted in tokens, so that they keep their size in any context."""

    batch_tokens: int
    microbatch_tokens: int = 0
    """Tokens computed at once; 0 is the whole batch."""
    optimizer: Literal["adamw", "muon"]
    learning_rate: float
    warmup_steps: int
    precision: Literal["auto", "bfloat16"] = "auto"
    recomputation: Literal["none", "blocks", "selective"] = "none"
    context_length: int = 0
    """The run's context where it is shorter than the shape's; 0 is the shape's."""

    def settings(self, context_length: int) -> dict[str, Any]:
        """Return the fields of a `PretrainConfig` that the recipe fills in, for windows of `context_length` tokens."""
        batch_size = max(1, round(self.batch_tokens / context_length))
        at_once = max(1, self.microbatch_tokens // context_length) if self.microbatch_tokens else batch_size
        return {
            "batch_size": batch_size,
            "microbatch_size": at_once if at_once < batch_size else 0,
            "optimizer": self.optimizer,
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "precision": self.precision,
            "recomputation": self.recomputation,
        }


_CPU: Mapping[str, Any] = {"optimizer": "muon", "learning_rate": 1e-2, "warmup_steps": 20}
_GPU: Mapping[str, Any] = {"optimizer": "adamw", "precision": "bfloat16"}
_GPT2: Mapping[str, Any] = {**_GPU, "batch_tokens": 2**19, "warmup_steps": 715}
_QWEN3: Mapping[str, Any] = {**_GPU, "batch_tokens": 2**20, "warmup_steps": 2_000, "context_length": 4_096}

RECIPES: Mapping[str, Recipe] = {
    "test": Recipe(**_CPU, batch_tokens=2**7),
    "tiny_cpu": Recipe(**_CPU, batch_tokens=2**10),
    "small_cpu": Recipe(**_CPU, batch_tokens=2**11),
    "gpt2_124m": Recipe(**_GPT2, learning_rate=6e-4, microbatch_tokens=2**15),
    "gpt2_355m": Recipe(**_GPT2, learning_rate=3e-4, microbatch_tokens=2**14),
    "gpt2_1558m": Recipe(
        **{**_GPT2, "batch_tokens": 2**20}, learning_rate=2e-4, microbatch_tokens=2**13, recomputation="blocks"
    ),
    "llama_1b": Recipe(**_GPU, batch_tokens=2**21, learning_rate=4e-4, warmup_steps=2_000, microbatch_tokens=2**13),
    "llama_3b": Recipe(
        **_GPU,
        batch_tokens=2**21,
        learning_rate=3e-4,
        warmup_steps=2_000,
        microbatch_tokens=2**13,
        recomputation="blocks",
    ),
    "qwen3_0_6b": Recipe(**_QWEN3, learning_rate=4e-4, microbatch_tokens=2**14),
    "qwen3_1_7b": Recipe(**_QWEN3, learning_rate=4e-4, microbatch_tokens=2**13),
}
"""One for every name in `lm.model.presets.PRESETS`."""
