"""`python -m lm.tokenizer "text"`: the tokens of a text, in colour, with ids and bytes.

    python -m lm.tokenizer [--tokenizer DIR] [--special] "text"

The default is the tokenizer that `make demo` trained.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from lm.errors import InputError, run_command
from lm.locations import locate
from lm.tokenizer.tokenizer import Tokenizer

_BACKGROUNDS = (24, 53, 22, 58, 52, 60)  # of the 256 colours of a terminal; neighbours differ


def main(argv: list[str] | None = None) -> int:
    """Print the tokens of the text."""
    parser = argparse.ArgumentParser(prog="python -m lm.tokenizer", description="Show how a text is split into tokens.")
    parser.add_argument("text", help="the text; - reads standard input")
    parser.add_argument("--tokenizer", type=locate, help="a folder or artifact that holds tokenizer.json")
    parser.add_argument("--special", action="store_true", help="recognize special tokens in the text")
    arguments = parser.parse_args(argv)
    tokenizer = Tokenizer.load(arguments.tokenizer or _trained_by_the_demo())
    text = sys.stdin.read() if arguments.text == "-" else arguments.text
    ids = tokenizer.encode(text, allowed_special="all" if arguments.special else "none")
    print(coloured(tokenizer, ids) if sys.stdout.isatty() else "|".join(map(_shown, _pieces(tokenizer, ids))))
    for i in ids:
        piece = tokenizer.decode_bytes([i])
        print(f"{i:>7}  {_shown(piece):<20} {piece.hex(' ')}")
    size_bytes = len(text.encode())
    print(f"{len(ids)} tokens, {size_bytes} bytes, {size_bytes / max(1, len(ids)):.2f} bytes per token")
    return 0


def coloured(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """Return the text with a background colour for each token."""
    return "".join(
        f"\x1b[48;5;{_BACKGROUNDS[i % len(_BACKGROUNDS)]}m{_shown(piece)}\x1b[0m"
        for i, piece in enumerate(_pieces(tokenizer, ids))
    )


def _pieces(tokenizer: Tokenizer, ids: Sequence[int]) -> list[bytes]:
    return [tokenizer.decode_bytes([i]) for i in ids]


def _shown(piece: bytes) -> str:
    """Return a token on one line, with escapes for characters that do not print and for parts of characters."""
    text = piece.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _trained_by_the_demo() -> Path:
    path = locate(os.environ.get("LOAM_HOME") or ".loam") / "artifacts" / "tokenizer"
    if not path.exists():
        raise InputError(f"{path}: no tokenizer yet; `make demo` trains one, --tokenizer names another")
    return path


if __name__ == "__main__":
    run_command(main)
