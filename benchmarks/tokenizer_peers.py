"""Peer tokenizers, each built from the same vocabulary and called in its fastest way.

Every peer is rebuilt for each pass, so that its cache of words is empty. Documents go in as
Python strings, which all four take. What comes out: tiktoken gives an array a document; Hugging Face's `Encoding`s are
left as they are, without the cost of turning them into arrays; gigatoken gives one ragged array, ours one array a
document. A peer that is not installed is not measured.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lm.tokenizer import Tokenizer
from lm.tokenizer.formats import save_huggingface

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # one core against one core


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A peer: `build` creates it from Loam's tokenizer, `encode` is one pass over documents on one core."""

    package: str
    build: Callable[[Tokenizer], Any]
    encode: Callable[[Any, Sequence[str]], Any]

    @property
    def label(self) -> str:
        """Return name and version."""
        return f"{self.package} {version(self.package)}"

    @property
    def installed(self) -> bool:
        """Return whether the peer is installed."""
        try:
            version(self.package)
        except PackageNotFoundError:
            return False
        return True


def tiktoken_encoding(tokenizer: Tokenizer) -> Any:
    """Return a `tiktoken.Encoding` of the same ranks, built offline, with OpenAI's faster form of the pattern."""
    import tiktoken
    from tiktoken_ext.openai_public import r50k_pat_str

    specials = {name: tokenizer.special_id(name) for name in tokenizer.special_tokens}
    ranks = {token: i for i, token in tokenizer.vocab.items() if i not in specials.values()}
    return tiktoken.Encoding("measured", pat_str=r50k_pat_str, mergeable_ranks=ranks, special_tokens=specials)


def _tiktoken_encode(encoding: Any, texts: Sequence[str]) -> Any:
    return [encoding.encode_to_numpy(text, disallowed_special=()) for text in texts]


def _huggingface(tokenizer: Tokenizer) -> Any:
    import tokenizers

    return _from_file(tokenizer, tokenizers.Tokenizer.from_file)


def _huggingface_encode(tokenizer: Any, texts: Sequence[str]) -> Any:
    return tokenizer.encode_batch_fast(texts, add_special_tokens=False)


def _gigatoken(tokenizer: Tokenizer) -> Any:
    import gigatoken

    return _from_file(tokenizer, gigatoken.Tokenizer)


def _gigatoken_encode(tokenizer: Any, texts: Sequence[str]) -> Any:
    return tokenizer.encode_batch(texts, parallel=False)


def _from_file(tokenizer: Tokenizer, load: Callable[[str], Any]) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        save_huggingface(tokenizer, path)
        return load(str(path))


TIKTOKEN = Peer(package="tiktoken", build=tiktoken_encoding, encode=_tiktoken_encode)
HUGGINGFACE = Peer(package="tokenizers", build=_huggingface, encode=_huggingface_encode)
GIGATOKEN = Peer(package="gigatoken", build=_gigatoken, encode=_gigatoken_encode)
