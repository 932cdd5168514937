"""Training over many ranks: data parallelism, sharded optimizers and parameters, tensor parallelism, launch."""

from typing import TYPE_CHECKING

from lm.lazy import load_on_first_use

if TYPE_CHECKING:
    from lm.parallel.collectives import Traffic, count_traffic
    from lm.parallel.data_parallel import DataParallel
    from lm.parallel.ddp_bucketed import BucketedDDP
    from lm.parallel.ddp_flat import FlatDDP
    from lm.parallel.ddp_naive import NaiveDDP
    from lm.parallel.ddp_overlapped import DDP
    from lm.parallel.fsdp import FSDP
    from lm.parallel.fully_sharded import FullySharded
    from lm.parallel.sharded_gradients import ShardedGradients
    from lm.parallel.sharded_optimizer import ShardedOptimizer
    from lm.parallel.tensor import TensorParallel, grid

__getattr__ = load_on_first_use(__name__)
