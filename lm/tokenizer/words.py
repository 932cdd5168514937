"""Eight bytes of a text as one machine word: what the compiled loops compare and hash keys by.

Kept small and apart, and not to be changed lightly: numba does not notice an edit here in the compiled functions of
other files, so after one remove `__pycache__`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio, as in Fibonacci hashing
_compiled = numba.njit(cache=True, nogil=True)


def _load_word(typing_context: Any, data: Any, position: Any) -> Any:
    """The eight bytes of `data` from `position` on, little-endian. No bounds are checked."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.bitcast(builder.gep(array.data, [arguments[1]]), ir.IntType(64).as_pointer())
        return builder.load(address, align=1)

    return types.uint64(data, types.intp), generate


load_word: Any = intrinsic(_load_word)


@_compiled
def read_word(data: Any, position: int, length: int) -> Any:
    """The first `length` (1 to 8) bytes from `position` on as a word, the rest of it zero."""
    if position + 8 <= data.size:
        return load_word(data, position) & (np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(64 - 8 * length))
    word: Any = np.uint64(0)
    for k in range(length):
        word |= np.uint64(data[position + k]) << np.uint64(8 * k)
    return word


@_compiled
def mix(seed: Any, word: Any) -> Any:
    """A hash of `word` following `seed`; its high bits are the best."""
    mixed = (seed ^ word) * _MULTIPLIER
    return mixed ^ (mixed >> np.uint64(32))
