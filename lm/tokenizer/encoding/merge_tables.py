"""The merges of a tokenizer as arrays, and a directory of the arrays' addresses for the compiled functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lm.compiled import compiled
from lm.errors import InputError
from lm.tokenizer.encoding.merge import HALF, ID_BITS, NO_PAIR, NO_RANK, RANK_BITS, hash_of_bytes, rank_of
from lm.tokenizer.raw_memory import address, load_byte, load_word, mix

MAX_KEY_BYTES = 15
"""The longest pre-token that has a key."""
KEY_BYTES = 16
"""The size of a key: the bytes and their number."""
_MAX_TOKENS = 1 << 21
_Ids = npt.NDArray[np.uint32]


class Tables(NamedTuple):
    """The arrays of one tokenizer."""

    byte_ids: _Ids
    """Shape (256,): the id of each byte."""
    byte_pairs: _Ids
    """Shape (65536,): the rank of each pair of bytes, `NO_RANK` where it is never merged."""
    pairs: npt.NDArray[np.uint64]
    """A hash table of `left id << 43 | right id << 22 | rank`, at most half full."""
    merged_ids: _Ids
    """Shape (num_merges,): the id that the pair of each rank becomes."""
    masks: npt.NDArray[np.uint64]
    """Shape (16, 2): what keeps that many bytes of two words."""
    whole: npt.NDArray[np.uint64]
    """Shape (rows, 4): a hash table of the pre-tokens that are one token whatever the merges; at most half full."""
    whole_bytes: npt.NDArray[np.uint8]
    """The bytes of those tokens, one after the other."""

    def directory(self) -> npt.NDArray[np.int64]:
        """Return the address of each table and the masks of the two hash tables: one argument in place of many."""
        masks = [self.pairs.size - 1, len(self.whole) - 1]
        return np.array([*(table.ctypes.data for table in self), *masks], np.int64)


def build_tables(
    ids: Mapping[bytes, int], merges: Sequence[tuple[bytes, bytes]], whole_tokens: Sequence[bytes] = ()
) -> Tables:
    """Build the tables of a tokenizer. A pre-token in `whole_tokens` takes its id without any merge.

    Raises:
        InputError: an id, or the number of merges, is beyond 2,097,151.
    """
    if max(ids.values()) >= _MAX_TOKENS or len(merges) >= _MAX_TOKENS:
        raise InputError(f"vocabulary: id {max(ids.values())} or {len(merges)} merges, expected below {_MAX_TOKENS}")
    byte_ids = np.array([ids[bytes([byte])] for byte in range(256)], np.uint32)
    parts = [(ids[left], ids[right], ids[left + right]) for left, right in merges]
    triples = np.array(parts, np.uint32).reshape(-1, 3)
    pairs = np.full(_table_size(len(merges)), NO_PAIR)
    byte_pairs = np.full(1 << 16, NO_RANK)
    _fill_pairs(pairs, byte_pairs, byte_ids, triples)
    whole, whole_bytes = _whole_table(ids, whole_tokens)
    return Tables(byte_ids, byte_pairs, pairs, triples[:, 2].copy(), _masks(), whole, whole_bytes)


def _whole_table(
    ids: Mapping[bytes, int], tokens: Sequence[bytes]
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]:
    """Return the rows of whole tokens, a single free one where there are none, and the bytes of the tokens."""
    pool = np.frombuffer(b"".join(tokens) or b"\0", np.uint8)
    rows = np.zeros((_table_size(len(tokens)) if tokens else 1, 4), np.uint64)
    lengths = np.fromiter(map(len, tokens), np.int64, len(tokens))
    _fill_whole(rows, pool, lengths, np.fromiter((ids[token] for token in tokens), np.uint32, len(tokens)))
    return rows, pool


def _masks() -> npt.NDArray[np.uint64]:
    kept = np.zeros((KEY_BYTES, KEY_BYTES), np.uint8)
    for length in range(KEY_BYTES):
        kept[length, :length] = 0xFF
    return kept.view("<u8").astype(np.uint64)


def _table_size(num_entries: int) -> int:
    return 1 << max(4, int(2 * num_entries).bit_length())


@compiled
def _fill_pairs(pairs: Any, byte_pairs: Any, byte_ids: Any, triples: Any) -> None:
    mask = np.intp(pairs.size - 1)
    for rank in range(triples.shape[0]):
        pair = np.uint64(triples[rank, 0]) << ID_BITS | np.uint64(triples[rank, 1])
        slot = np.intp(mix(np.uint64(0), pair) >> HALF) & mask
        while pairs[slot] != NO_PAIR and pairs[slot] >> RANK_BITS != pair:
            slot = (slot + 1) & mask
        if pairs[slot] == NO_PAIR:
            pairs[slot] = pair << RANK_BITS | np.uint64(rank)
    for left in range(256):
        for right in range(256):
            byte_pairs[left << 8 | right] = rank_of(address(pairs), mask, byte_ids[left], byte_ids[right])


@compiled
def _fill_whole(rows: Any, pool: Any, lengths: Any, ids: Any) -> None:
    start, mask = 0, rows.shape[0] - 1
    for k in range(lengths.size):
        hashed = hash_of_bytes(address(pool) + start, lengths[k])
        slot = np.intp(hashed >> HALF) & mask
        while rows[slot, 3] != 0:
            slot = (slot + 1) & mask
        rows[slot, 0], rows[slot, 1], rows[slot, 2] = hashed, np.uint64(start), np.uint64(lengths[k])
        rows[slot, 3] = np.uint64(ids[k]) + np.uint64(1)
        start += lengths[k]


@compiled
def key_of(text: int, length: int, readable: int, masks: int) -> tuple[Any, Any]:
    """Return up to 15 bytes as two words, with their number in the highest byte of the second and zeros behind the
    bytes.
    """
    low, high = np.uint64(0), np.uint64(0)
    if readable >= KEY_BYTES:
        low, high = load_word(text) & load_word(masks + 16 * length), load_word(text + 8)
        high &= load_word(masks + 16 * length + 8)
    else:
        for k in range(min(length, 8)):
            low |= np.uint64(load_byte(text + k)) << np.uint64(8 * k)
        for k in range(8, length):
            high |= np.uint64(load_byte(text + k)) << np.uint64(8 * k - 64)
    return low, high | np.uint64(length) << np.uint64(56)


@compiled
def hash_of(low: Any, high: Any) -> Any:
    """Return a hash of a key; its high bits are the best."""
    return low * np.uint64(0x9E3779B97F4A7C15) + high * np.uint64(0xD6E8FEB86659FD93)
