"""Pre-tokens of a text by the scanner of its pattern, in one pass.

`scanners` has the scanner of each pattern, and `block_scanner` a faster one for two of the patterns.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt

from lm.compiled import compiled
from lm.tokenizer.patterns import PATTERNS, check_pattern
from lm.tokenizer.pretokenizing.block_scanner import ROOM, gpt2_ends
from lm.tokenizer.pretokenizing.scanners import cl100k_end, gpt2_end, o200k_end
from lm.tokenizer.pretokenizing.unicode_tables import kinds
from lm.tokenizer.raw_memory import address
from lm.tokenizer.utf8 import utf8

Bytes = npt.NDArray[np.uint8]

_GPT2, _DIGITS, _CL100K, _LLAMA3, _O200K = range(5)
_CODES = {"gpt2": _GPT2, "digits": _DIGITS, "cl100k": _CL100K, "llama3": _LLAMA3, "o200k": _O200K}
if set(_CODES) != set(PATTERNS):
    raise ImportError("a pattern has no scanner")


def pre_tokens(text: str, pattern: str) -> list[str]:
    """Return the pre-tokens of `text`, in order; joined they are `text`.

    Raises:
        ConfigurationError: no pattern has that name.
        InputError: the text holds a lone surrogate.
    """
    data = np.frombuffer(utf8(text), np.uint8)
    boundaries, ends = np.array([0, data.size], np.int64), np.empty(data.size + ROOM, np.int64)
    count = scan(data, boundaries, 0, pattern_code(pattern), kinds(), ends)
    starts = np.concatenate([[0], ends[:count]])
    return [data[start:end].tobytes().decode() for start, end in itertools.pairwise(starts)]


def pattern_code(pattern: str) -> int:
    """Return the number of a pattern in `scan`."""
    return _CODES[check_pattern(pattern)]


@compiled
def scan(data: Bytes, boundaries: Any, start: int, pattern: int, table: Bytes, ends: Any) -> int:
    """Write the ends of the pre-tokens from byte `start` on into `ends`, as many as it holds; return their number.

    `data` is valid UTF-8; `boundaries` (ascending, from the start of the data to its end) are the borders of documents,
    which no pre-token crosses; `start` is such a border or the end of a pre-token. It may return with up to `ROOM` ends
    fewer than there is place for.
    """
    text, kind_table = address(data), address(table)
    document = np.searchsorted(boundaries, start, side="right")
    in_blocks = pattern <= _DIGITS and ends.size >= ROOM
    count, most = 0, ends.size
    if in_blocks:
        most -= ROOM - 1
    while document < boundaries.size and count < most:
        stop = boundaries[document]
        if in_blocks:
            start, count = gpt2_ends(text, start, stop, data.size, kind_table, pattern == _GPT2, ends, count)
        else:
            while start < stop and count < most:
                if pattern == _GPT2:
                    start = gpt2_end(text, start, stop, kind_table, True)
                elif pattern == _DIGITS:
                    start = gpt2_end(text, start, stop, kind_table, False)
                elif pattern == _O200K:
                    start = o200k_end(text, start, stop, kind_table)
                else:
                    start = cl100k_end(text, start, stop, kind_table, pattern == _CL100K)
                ends[count] = start
                count += 1
        if start == stop:
            document += 1
    return count
