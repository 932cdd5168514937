"""Models, batches and training loops that tests run in one process and in many."""

import contextlib
import functools

import torch
from torch import nn

from lm.model import TransformerLM, preset
from lm.parallel import DDP, BucketedDDP, FlatDDP, NaiveDDP, ShardedOptimizer
from lm.training import AdamW, Muon, clip_gradients, muon_groups

NUM_STEPS, BATCH, SEQ, VOCAB, ACCUMULATION = 20, 8, 12, 50, 2
MAX_NORM = 0.5


class Odd(nn.Module):
    """Foreign layers with tied, frozen and unused parameters, of sizes that no number of ranks divides."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(VOCAB, 7)
        self.inner = nn.Sequential(nn.Linear(7, 13), nn.ReLU(), nn.Linear(13, 7))
        self.frozen = nn.Linear(7, 7).requires_grad_(False)
        self.unused = nn.Linear(3, 5)
        self.head = nn.Linear(7, VOCAB, bias=False)
        self.head.weight = self.embed.weight
        self.register_buffer("shift", torch.full((7,), 0.1))

    def forward(self, ids):
        x = self.embed(ids)
        return self.head(self.frozen(x + self.inner(x)) + self.shift)


def odd(seed=0):
    torch.manual_seed(seed)
    return Odd()


def transformer(seed=0, **changes):
    torch.manual_seed(seed)
    return TransformerLM(preset("test", vocab_size=VOCAB, context_length=SEQ, tie_embeddings=True, **changes))


MODELS = {"odd": odd, "transformer": transformer}


def batches(num_steps=NUM_STEPS, seed=1):
    """`(ids, targets)` of each step, `[BATCH SEQ]`."""
    random = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, VOCAB, (num_steps, BATCH, SEQ + 1), generator=random)
    return [(each[:, :-1], each[:, 1:]) for each in ids]


def loss_of(model, ids, targets):
    return nn.functional.cross_entropy(model(ids).flatten(0, 1), targets.flatten())


def groups_of(module, optimizer):
    """Two groups for AdamW; Muon's and AdamW's for a Transformer."""
    if optimizer == "muon":
        return muon_groups(module, 0.1)
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    return [{"params": trained[:2], "weight_decay": 0.0}, {"params": trained[2:], "weight_decay": 0.1}]


CLASSES = {"adamw": AdamW, "muon": Muon, "torch_adamw": torch.optim.AdamW, "torch_adafactor": torch.optim.Adafactor}


def make_optimizer(module, name, sharded=False):
    # A large epsilon: Adam divides by gradients of almost 0, where the order of a sum would decide the sign.
    settings = {"lr": 1e-2} if name == "torch_adafactor" else {"lr": 1e-2, "eps": 1e-3}
    if sharded:
        return ShardedOptimizer(groups_of(module, name), CLASSES[name], **settings)
    return CLASSES[name](groups_of(module, name), **settings)


def train(model, optimizer, parts, *, wrapped=None, parameters=None, clip=clip_gradients):
    """Steps over `parts`, one list of microbatches a step; gradients of all but the last stay local."""
    wrapped = wrapped or model
    for microbatches in parts:
        optimizer.zero_grad(set_to_none=True)
        for index, (ids, targets) in enumerate(microbatches):
            last = index == len(microbatches) - 1
            local = contextlib.nullcontext() if last or not hasattr(wrapped, "no_sync") else wrapped.no_sync()
            with local:
                (loss_of(wrapped, ids, targets) / len(microbatches)).backward()
        if hasattr(wrapped, "finish_gradient_synchronization"):
            wrapped.finish_gradient_synchronization()
        clip(list(model.parameters()) if parameters is None else parameters, MAX_NORM)
        optimizer.step()


def microbatches(rank, world_size, steps):
    """This rank's part of each batch, in `ACCUMULATION` microbatches."""
    share = BATCH // world_size
    rows = slice(rank * share, (rank + 1) * share)
    return [
        list(zip(ids[rows].chunk(ACCUMULATION), targets[rows].chunk(ACCUMULATION), strict=True))
        for ids, targets in steps
    ]


def weights(model):
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@functools.cache
def alone(model_name, optimizer, num_steps=NUM_STEPS):
    """The weights of one process."""
    model = MODELS[model_name]()
    train(model, make_optimizer(model, optimizer), microbatches(0, 1, batches(num_steps)))
    return weights(model)


WRAPPERS = {
    "naive": NaiveDDP,
    "flat": FlatDDP,
    "overlapped": DDP,
    "one_bucket": functools.partial(BucketedDDP, bucket_size_mb=1000),
    "small_buckets": functools.partial(BucketedDDP, bucket_size_mb=0.01),
}


def replicated(rank, world_size, model_name, optimizer, wrapper, sharded=False):
    """Train replicas that begin with other weights on each rank but 0."""
    model = MODELS[model_name](seed=rank)
    wrapped = WRAPPERS[wrapper](model)
    made = make_optimizer(model, optimizer, sharded)
    train(model, made, microbatches(rank, world_size, batches()), wrapped=wrapped)
    return weights(model)
