"""Training: batches, loss, optimizers, the loop, and checkpoints that resume exactly."""

from typing import TYPE_CHECKING

from lm.lazy import lazy_names

if TYPE_CHECKING:
    from lm.kernels.cross_entropy import linear_cross_entropy, linear_losses
    from lm.token_stream import TokenStream
    from lm.training.batches import Batch, BatchLoader, PrefetchedLoader, get_batch
    from lm.training.checkpoint import load_checkpoint, save_checkpoint
    from lm.training.clipping import clip_gradients, gradient_norm
    from lm.training.config import PretrainConfig
    from lm.training.loss import cross_entropy
    from lm.training.loss_scale import LossScaler
    from lm.training.muon import Muon
    from lm.training.optimizers import SGD, AdamW
    from lm.training.parameter_groups import decay_groups, make_parameter_groups, muon_groups
    from lm.training.reading_order import ReadingOrder, make_reading_order, steps_that_read, steps_that_read_document
    from lm.training.schedule import cosine_schedule, linear_schedule, wsd_schedule
    from lm.training.spikes import SpikeDetector
    from lm.training.stop import StopSignals
    from lm.training.trainer import NonFiniteError, Trainer

__getattr__ = lazy_names(
    __name__,
    {
        "lm.kernels.cross_entropy": ("linear_cross_entropy", "linear_losses"),
        "lm.token_stream": ("TokenStream",),
        "lm.training.batches": ("Batch", "BatchLoader", "PrefetchedLoader", "get_batch"),
        "lm.training.checkpoint": ("load_checkpoint", "save_checkpoint"),
        "lm.training.clipping": ("clip_gradients", "gradient_norm"),
        "lm.training.config": ("PretrainConfig",),
        "lm.training.loss": ("cross_entropy",),
        "lm.training.loss_scale": ("LossScaler",),
        "lm.training.muon": ("Muon",),
        "lm.training.optimizers": ("SGD", "AdamW"),
        "lm.training.parameter_groups": ("decay_groups", "muon_groups", "make_parameter_groups"),
        "lm.training.reading_order": (
            "ReadingOrder",
            "make_reading_order",
            "steps_that_read",
            "steps_that_read_document",
        ),
        "lm.training.schedule": ("cosine_schedule", "linear_schedule", "wsd_schedule"),
        "lm.training.spikes": ("SpikeDetector",),
        "lm.training.stop": ("StopSignals",),
        "lm.training.trainer": ("NonFiniteError", "Trainer"),
    },
)

__all__ = [
    "SGD",
    "AdamW",
    "Batch",
    "BatchLoader",
    "LossScaler",
    "Muon",
    "NonFiniteError",
    "PrefetchedLoader",
    "PretrainConfig",
    "ReadingOrder",
    "SpikeDetector",
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
    "linear_losses",
    "linear_schedule",
    "load_checkpoint",
    "make_parameter_groups",
    "make_reading_order",
    "muon_groups",
    "save_checkpoint",
    "steps_that_read",
    "steps_that_read_document",
    "wsd_schedule",
]
