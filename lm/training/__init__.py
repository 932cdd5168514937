"""Training: batches, loss, optimizers, the loop, and checkpoints that resume exactly."""

from typing import TYPE_CHECKING

from lm.lazy import lazy_names

if TYPE_CHECKING:
    from lm.kernels.cross_entropy import linear_cross_entropy
    from lm.token_stream import TokenStream
    from lm.training.batches import Batch, BatchLoader, get_batch, steps_that_read
    from lm.training.checkpoint import load_checkpoint, save_checkpoint
    from lm.training.config import PretrainConfig
    from lm.training.loss import cross_entropy
    from lm.training.muon import Muon, muon_groups
    from lm.training.optimizers import AdamW, clip_gradients, decay_groups, gradient_norm
    from lm.training.schedule import cosine_schedule
    from lm.training.stop import StopSignals
    from lm.training.trainer import NonFiniteError, Trainer

__getattr__ = lazy_names(
    __name__,
    {
        "lm.kernels.cross_entropy": ("linear_cross_entropy",),
        "lm.token_stream": ("TokenStream",),
        "lm.training.batches": (
            "Batch",
            "BatchLoader",
            "get_batch",
            "steps_that_read",
        ),
        "lm.training.checkpoint": (
            "load_checkpoint",
            "save_checkpoint",
        ),
        "lm.training.config": ("PretrainConfig",),
        "lm.training.loss": ("cross_entropy",),
        "lm.training.muon": (
            "Muon",
            "muon_groups",
        ),
        "lm.training.optimizers": (
            "AdamW",
            "clip_gradients",
            "decay_groups",
            "gradient_norm",
        ),
        "lm.training.schedule": ("cosine_schedule",),
        "lm.training.stop": ("StopSignals",),
        "lm.training.trainer": (
            "NonFiniteError",
            "Trainer",
        ),
    },
)

__all__ = [
    "AdamW",
    "Batch",
    "BatchLoader",
    "Muon",
    "NonFiniteError",
    "PretrainConfig",
    "StopSignals",
    "TokenStream",
    "Trainer",
    "clip_gradients",
    "cosine_schedule",
    "cross_entropy",
    "decay_groups",
    "get_batch",
    "gradient_norm",
    "linear_cross_entropy",
    "load_checkpoint",
    "muon_groups",
    "save_checkpoint",
    "steps_that_read",
]
