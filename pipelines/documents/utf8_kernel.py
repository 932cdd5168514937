"""The code points of UTF-8 bytes, for compiled loops over the buffers of texts. It imports numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lm.compiled import compiled


@compiled
def decode(data: NDArray[np.uint8], position: int) -> Any:
    """Return the code point at `position` of valid UTF-8, and the position after it."""
    lead = np.uint32(data[position])
    if lead < 0x80:
        return lead, position + 1
    if lead < 0xE0:
        return (lead & np.uint32(0x1F)) << np.uint32(6) | np.uint32(data[position + 1] & 0x3F), position + 2
    code = np.uint32(data[position + 1] & 0x3F) << np.uint32(6) | np.uint32(data[position + 2] & 0x3F)
    if lead < 0xF0:
        return (lead & np.uint32(0x0F)) << np.uint32(12) | code, position + 3
    code = code << np.uint32(6) | np.uint32(data[position + 3] & 0x3F)
    return (lead & np.uint32(0x07)) << np.uint32(18) | code, position + 4
