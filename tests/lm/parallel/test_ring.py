"""Ring collectives: the sums of `torch.distributed`, and the bytes of the formula."""

import pytest
import torch
import torch.distributed as dist

from lm.accounting.communication import ring_bytes
from lm.parallel.ring import ring_all_gather, ring_all_reduce, ring_reduce_scatter


def by_both(rank, world_size, numel):
    mine = torch.randn(numel, generator=torch.Generator().manual_seed(rank))
    summed = mine.clone()
    dist.all_reduce(summed)
    ring = mine.clone()
    sent = ring_all_reduce(ring)
    part, scattered = ring_reduce_scatter(mine.clone())
    whole = torch.zeros(numel)
    whole.tensor_split(world_size)[rank].copy_(part)
    gathered = ring_all_gather(whole)
    return summed, ring, whole, sent, scattered, gathered


@pytest.mark.parametrize("numel", [1, 7, 64, 1_001])
def test_rings_give_the_sum_and_send_what_the_formula_says(ranks, numel):
    number, total = ranks.world_size, 0
    for summed, ring, whole, sent, scattered, gathered in ranks(by_both, numel):
        torch.testing.assert_close(ring, summed)
        torch.testing.assert_close(whole, summed)
        assert sent == scattered + gathered
        assert abs(sent - ring_bytes("all_reduce", 4 * numel, number)) <= 2 * 4 * number
        total += sent
    assert total == pytest.approx(number * ring_bytes("all_reduce", 4 * numel, number))
