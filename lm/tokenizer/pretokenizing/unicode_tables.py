"""The character class of every code point, as one byte, for the pre-token scanners.

The table is stored as runs in `unicode_runs.py`, so that ids do not change with the installation. It is that of the
`regex` package, whose syntax defines the patterns. This command writes the file again from the installed package:

    python -m lm.tokenizer.pretokenizing.unicode_tables
"""

from __future__ import annotations

import base64
import itertools
import sys
import textwrap
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

NUM_CODE_POINTS = 0x110000
UPPER, LOWER, OTHER_LETTER, MARK, NUMBER, SPACE, OTHER = (1 << bit for bit in range(7))
"""The classes, one bit each, so that a union of classes is a mask; `CLASSES` defines them."""
LETTER = UPPER | LOWER | OTHER_LETTER

CLASSES = {
    UPPER: r"[\p{Lu}\p{Lt}]",
    LOWER: r"\p{Ll}",
    OTHER_LETTER: r"[\p{Lm}\p{Lo}]",
    MARK: r"\p{M}",
    NUMBER: r"\p{N}",
    SPACE: r"\s",
}
"""The expression of each class; `OTHER` is the rest."""
_RUNS_FILE = Path(__file__).with_name("unicode_runs.py")


@cache
def kinds() -> npt.NDArray[np.uint8]:
    """Return the class of every code point, shape (0x110000,)."""
    from lm.tokenizer.pretokenizing.unicode_runs import RUNS

    runs = np.frombuffer(zlib.decompress(base64.b85decode(RUNS)), dtype="<u4")
    table = np.repeat((runs & 0xFF).astype(np.uint8), runs >> 8)
    table.flags.writeable = False
    return table


def kinds_of_regex() -> npt.NDArray[np.uint8]:
    """Return the class of every code point by the installed `regex` package, shape (0x110000,)."""
    import regex

    characters = "".join(map(chr, range(NUM_CODE_POINTS)))
    table = np.full(NUM_CODE_POINTS, OTHER, np.uint8)
    for kind, expression in CLASSES.items():
        table[[ord(character) for character in regex.findall(expression, characters)]] = kind
    return table


def generate() -> str:
    """Return the source of `unicode_runs.py`: runs of equal classes, each `length << 8 | class`, packed."""
    import regex

    grouped = itertools.groupby(kinds_of_regex().tolist())
    runs = np.array([(sum(1 for _ in run) << 8) | kind for kind, run in grouped], dtype="<u4")
    packed = base64.b85encode(zlib.compress(runs.tobytes(), 9)).decode()
    lines = "\n".join(f'    "{line}"' for line in textwrap.wrap(packed, 110, break_on_hyphens=False))
    return (
        '"""Runs of code points of a class, made by `python -m lm.tokenizer.pretokenizing.unicode_tables`."""\n\n'
        f'REGEX_VERSION = "{regex.__version__}"\nRUNS = (\n{lines}\n)\n'
    )


def main() -> int:
    """Write `unicode_runs.py`."""
    source = generate()
    _RUNS_FILE.write_text(source)
    print(f"{_RUNS_FILE}: {source.splitlines()[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
