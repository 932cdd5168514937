"""Training: batches, loss, optimizers, the loop, and checkpoints that resume exactly."""

from typing import TYPE_CHECKING

from lm.lazy import load_on_first_use

if TYPE_CHECKING:
    from lm.errors import NonFiniteError
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
    from lm.training.trainer import Trainer

__getattr__ = load_on_first_use(__name__)
