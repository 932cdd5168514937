"""Bytes by address, one, four or eight at a time, for the compiled loops; a hash of them.

numba counts references of an array that one compiled function passes to another, which costs more than the load itself.
An address is a number. The caller keeps the array alive and the address within it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from lm.compiled import compiled

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, as in Fibonacci hashing


def _load_byte(typing_context: Any, address: Any) -> Any:
    """Emit the byte at an address, as an integer."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte = builder.load(builder.inttoptr(arguments[0], ir.IntType(8).as_pointer()))
        return builder.zext(byte, ir.IntType(64))

    return types.intp(types.intp), generate


def _load_word(typing_context: Any, address: Any) -> Any:
    """Emit the eight bytes from an address on, little-endian."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], ir.IntType(64).as_pointer()), align=1)

    return types.uint64(types.intp), generate


def _load_half(typing_context: Any, address: Any) -> Any:
    """Emit the four bytes from an address on, little-endian."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(builder.inttoptr(arguments[0], ir.IntType(32).as_pointer()), align=1)

    return types.uint32(types.intp), generate


def _store_word(typing_context: Any, address: Any, word: Any) -> Any:
    """Emit a store of eight bytes from an address on, little-endian."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        builder.store(arguments[1], place, align=1)
        return context.get_dummy_value()

    return types.void(types.intp, types.uint64), generate


load_byte: Any = intrinsic(_load_byte)
load_half: Any = intrinsic(_load_half)
load_word: Any = intrinsic(_load_word)
store_word: Any = intrinsic(_store_word)


@compiled
def read_word(address: int, length: int, available: int) -> Any:
    """Return the first `length` (1 to 8) of the `available` bytes from an address on as a word, padded with zeros."""
    if available >= 8:
        return load_word(address) & (np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - 8 * length))
    word: Any = np.uint64(0)
    for k in range(length):
        word |= np.uint64(load_byte(address + k)) << np.uint64(8 * k)
    return word


@compiled
def mix(seed: Any, word: Any) -> Any:
    """Return a hash of `word` following `seed`; its high bits are the best."""
    mixed = (seed ^ word) * _MULTIPLIER
    return mixed ^ (mixed >> np.uint64(32))


@compiled
def address(array: Any) -> Any:
    """Return the address of an array, signed: a sum of numba's unsigned address and a signed number is a float."""
    return np.intp(array.ctypes.data)
