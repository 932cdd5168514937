"""The cache holds what was put in, and a model reading through it computes what it computes without."""

import pytest
import torch

from lm.inference.kv_cache import KVCache
from lm.model import TransformerLM, preset


def make_cache(batch: int, capacity: int) -> KVCache:
    return KVCache(preset("test"), batch=batch, capacity=capacity)


@pytest.mark.parametrize("pieces", [[12], [1] * 12, [5, 1, 1, 5], [3, 9]])
def test_reading_in_pieces_gives_the_logits_of_the_whole(pieces):
    torch.manual_seed(0)
    model = TransformerLM(preset("test"))
    ids = torch.randint(0, 128, (3, 12))
    with torch.no_grad():
        whole = model(ids)
        cache = make_cache(3, 12)
        parts = [model(part, kv_cache=cache) for part in ids.split(pieces, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, atol=1e-5, rtol=1e-5)


def test_length_moves_when_all_layers_have_written():
    cache = make_cache(1, 4)
    new = torch.ones(1, 2, 3, 8)
    cache.update(0, new, new)
    assert cache.length == 0
    cache.update(1, new, new)
    cache.advance(3)
    assert cache.length == 3


def test_selected_rows_go_on_as_their_originals():
    torch.manual_seed(0)
    model = TransformerLM(preset("test"))
    ids, following = torch.randint(0, 128, (3, 5)), torch.randint(0, 128, (4, 1))
    rows = torch.tensor([2, 0, 0, 2])
    cache = make_cache(3, 6)
    with torch.no_grad():
        model(ids, kv_cache=cache)
        continued = model(following, kv_cache=cache.select(rows))
        whole = model(torch.cat([ids[rows], following], dim=1))[:, -1:]
    torch.testing.assert_close(continued, whole, atol=1e-5, rtol=1e-5)


def test_a_full_cache_says_so():
    cache = make_cache(1, 4)
    with pytest.raises(ValueError, match="5 positions, capacity 4"):
        cache.update(0, torch.ones(1, 2, 5, 8), torch.ones(1, 2, 5, 8))


def test_padding_is_hidden_and_not_counted_in_positions():
    cache = KVCache(preset("test"), batch=3, capacity=8, padding=torch.tensor([0, 2, 1]))
    mask = cache.mask(3)
    assert mask.shape == (3, 1, 3, 3)
    assert mask[1, 0].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert mask[2, 0].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert torch.equal(mask[0, 0], torch.ones(3, 3).tril().bool())
    assert cache.positions(3).tolist() == [[0, 1, 2], [0, 0, 0], [0, 0, 1]]
    cache.advance(3)
    chosen = cache.select(torch.tensor([1, 1]))
    assert chosen.positions(1).tolist() == [[1], [1]]
    assert chosen.mask(1)[:, 0, 0].int().tolist() == [[0, 0, 1, 1]] * 2
    assert make_cache(1, 4).mask(3) is None and make_cache(1, 4).positions(3) is None
