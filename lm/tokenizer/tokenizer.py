"""A byte-level BPE tokenizer: text to ids and back.

Every text can be encoded, since single bytes are tokens; decoding gives the same text back. Text from outside never
becomes a special token unless the caller names it in `allowed_special`.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lm.errors import ConfigurationError, InputError
from lm.storage import MANIFEST, Artifact, open_artifact, write_json
from lm.tokenizer.pretokenize import compiled, pre_tokens, special_splitter

FILE = "tokenizer.json"
END_OF_TEXT = "<|endoftext|>"
SPECIAL_TOKENS = (END_OF_TEXT, "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
"""The special tokens of every Loam tokenizer, in this order after the merges."""

_FORMAT = "loam-tokenizer/1"
_CACHE_SIZE = 1 << 18
_LONG_PRE_TOKEN = 64

AllowedSpecial = Literal["none", "all"] | frozenset[str] | set[str]


class Tokenizer:
    """`vocab` maps ids to byte strings, `merges` lists pairs in the order learned, special tokens take the ids that
    follow."""

    def __init__(
        self,
        vocab: Mapping[int, bytes],
        merges: Sequence[tuple[bytes, bytes]],
        special_tokens: Sequence[str] | None = None,
        *,
        pattern: str = "gpt2",
    ) -> None:
        compiled(pattern)
        self.pattern = pattern
        self.merges = list(merges)
        self.special_tokens = tuple(special_tokens or ())
        self._token_bytes = _checked_vocab(vocab)
        self._ids = {token: i for i, token in enumerate(self._token_bytes)}
        self._ranks = self._pair_ranks()
        self._special_ids = self._add_special_tokens()
        self._cache: dict[str, list[int]] = {}

    @property
    def vocab(self) -> dict[int, bytes]:
        """Every id and its bytes, special tokens included."""
        return dict(enumerate(self._token_bytes))

    @property
    def vocab_size(self) -> int:
        """The number of ids."""
        return len(self._token_bytes)

    @property
    def end_of_text_id(self) -> int:
        """The id of `<|endoftext|>`."""
        return self.special_id(END_OF_TEXT)

    @property
    def digest(self) -> str:
        """sha256 of the content: the tokenizer's identity."""
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()

    def special_id(self, name: str) -> int:
        """The id of a special token.

        Raises:
            ConfigurationError: there is none of that name.
        """
        if name not in self._special_ids:
            raise ConfigurationError(f"special token '{name}': expected one of {', '.join(self.special_tokens)}")
        return self._special_ids[name]

    def encode(self, text: str, allowed_special: AllowedSpecial = "none") -> list[int]:
        """The ids of `text`. Of special tokens only those in `allowed_special` are seen as such.

        Raises:
            InputError: the text holds a lone surrogate, which no byte string stands for.
        """
        allowed = self._allowed(allowed_special)
        if not allowed:
            return self._encode_plain(text)
        ids: list[int] = []
        for i, part in enumerate(special_splitter(allowed).split(text)):
            ids += [self._special_ids[part]] if i % 2 else self._encode_plain(part)
        return ids

    def encode_batch(self, texts: Sequence[str], num_threads: int = 1) -> list[npt.NDArray[np.uint32]]:
        """The ids of each text, as arrays."""
        with ThreadPoolExecutor(max_workers=max(1, num_threads)) as pool:
            return list(pool.map(lambda text: np.array(self.encode(text), dtype=np.uint32), texts))

    def decode_bytes(self, ids: Sequence[int]) -> bytes:
        """The bytes that `ids` stand for.

        Raises:
            InputError: an id lies outside the vocabulary.
        """
        size = len(self._token_bytes)
        wrong = next((i for i in ids if not 0 <= i < size), None)
        if wrong is not None:
            raise InputError(f"token id {wrong} lies outside 0..{size - 1}")
        return b"".join(self._token_bytes[i] for i in ids)

    def decode(self, ids: Sequence[int], errors: str = "replace") -> str:
        """The text that `ids` stand for; `errors` says what becomes of bytes that are no UTF-8."""
        return self.decode_bytes(ids).decode("utf-8", errors=errors)

    def save(self, folder: Path | str) -> None:
        """Write `tokenizer.json` into `folder`; equal tokenizers write equal bytes."""
        write_json(Path(folder) / FILE, {**self._content(), "digest": self.digest})

    @classmethod
    def load(cls, source: Path | str | Artifact) -> Tokenizer:
        """Read what `save` wrote: from a folder, a published artifact, or its path.

        Raises:
            InputError: no tokenizer there, or a damaged one; names the file.
            IntegrityError: an artifact whose bytes changed.
        """
        if not isinstance(source, Artifact) and (Path(source) / MANIFEST).exists():
            source = open_artifact(source)
        path = source.file(FILE) if isinstance(source, Artifact) else Path(source) / FILE
        try:
            content = json.loads(path.read_bytes())
            tokenizer = cls._from_content(content)
        except FileNotFoundError:
            raise InputError(f"{path}: no tokenizer here") from None
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise InputError(f"{path}: not a tokenizer ({type(error).__name__}: {error})") from None
        if tokenizer.digest != content["digest"]:
            raise InputError(f"{path}: digest of the content is {tokenizer.digest}, expected {content['digest']}")
        return tokenizer

    def _encode_plain(self, text: str) -> list[int]:
        cache, ids = self._cache, []
        for piece in pre_tokens(text, self.pattern):
            known = cache.get(piece)
            if known is None:
                known = self._merge(_utf8(piece))
                if len(cache) < _CACHE_SIZE and len(piece) <= _LONG_PRE_TOKEN:
                    cache[piece] = known
            ids += known
        return ids

    def _merge(self, piece: bytes) -> list[int]:
        """Ids of one pre-token: always the pair of the lowest rank first, the leftmost of equals; O(n log n)."""
        if piece in self._ids and len(piece) == 1:
            return [self._ids[piece]]
        ids: list[int] = [self._ids[bytes([byte])] for byte in piece]
        following = [*range(1, len(ids)), -1]
        previous = list(range(-1, len(ids) - 1))
        queue = [(self._ranks[pair], i) for i, pair in enumerate(itertools.pairwise(ids)) if pair in self._ranks]
        heapq.heapify(queue)
        while queue:
            rank, left = heapq.heappop(queue)
            right = following[left]
            if right < 0 or ids[left] < 0 or self._ranks.get((ids[left], ids[right])) != rank:
                continue  # one of the two has been merged since
            ids[left], ids[right] = self._merged_ids[rank], -1
            following[left] = after = following[right]
            if after >= 0:
                previous[after] = left
            for start in (previous[left], left):
                end = following[start] if start >= 0 else -1
                if end >= 0 and (new := self._ranks.get((ids[start], ids[end]))) is not None:
                    heapq.heappush(queue, (new, start))
        return [i for i in ids if i >= 0]

    def _allowed(self, allowed_special: AllowedSpecial) -> frozenset[str]:
        if allowed_special == "none":
            return frozenset()
        if allowed_special == "all":
            return frozenset(self.special_tokens)
        for name in allowed_special:
            self.special_id(name)
        return frozenset(allowed_special)

    def _pair_ranks(self) -> dict[tuple[int, int], int]:
        """The rank of each pair of ids; `_merged_ids[rank]` is what the pair becomes.

        Raises:
            InputError: a merge whose parts or result the vocabulary lacks.
        """
        ranks: dict[tuple[int, int], int] = {}
        self._merged_ids: list[int] = []
        for rank, (left, right) in enumerate(self.merges):
            for token in (left, right, left + right):
                if token not in self._ids:
                    raise InputError(f"merge {rank}: {left!r} {right!r}: the vocabulary has no {token!r}")
            ranks[self._ids[left], self._ids[right]] = rank
            self._merged_ids.append(self._ids[left + right])
        return ranks

    def _add_special_tokens(self) -> dict[str, int]:
        if len(set(self.special_tokens)) != len(self.special_tokens):
            raise ConfigurationError(f"special_tokens: one is repeated in {', '.join(self.special_tokens)}")
        ids: dict[str, int] = {}
        for name in self.special_tokens:
            token = name.encode()
            if token not in self._ids:
                self._ids[token] = len(self._token_bytes)
                self._token_bytes.append(token)
            ids[name] = self._ids[token]
        return ids

    def _content(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "pattern": self.pattern,
            "vocab": [token.hex() for token in self._token_bytes],
            "merges": [[left.hex(), right.hex()] for left, right in self.merges],
            "special_tokens": list(self.special_tokens),
        }

    @classmethod
    def _from_content(cls, content: Mapping[str, Any]) -> Tokenizer:
        if content["format"] != _FORMAT:
            raise ValueError(f"format is '{content['format']}', expected '{_FORMAT}'")
        vocab = {i: bytes.fromhex(token) for i, token in enumerate(content["vocab"])}
        merges = [(bytes.fromhex(left), bytes.fromhex(right)) for left, right in content["merges"]]
        return cls(vocab, merges, content["special_tokens"], pattern=content["pattern"])


def _checked_vocab(vocab: Mapping[int, bytes]) -> list[bytes]:
    """The byte strings by id.

    Raises:
        InputError: ids with a gap, or a single byte that has no id.
    """
    tokens = [vocab.get(i) for i in range(len(vocab))]
    found = [token for token in tokens if token is not None]
    if len(found) != len(tokens):
        raise InputError(f"vocabulary: id {tokens.index(None)} is missing, expected 0..{len(vocab) - 1}")
    missing = {bytes([i]) for i in range(256)} - set(found)
    if missing:
        raise InputError(f"vocabulary: has no token for the byte {min(missing)!r}")
    return found


def _utf8(piece: str) -> bytes:
    try:
        return piece.encode()
    except UnicodeEncodeError as error:
        code_point = ord(piece[error.start])
        raise InputError(f"text holds the lone surrogate U+{code_point:04X}, which is not Unicode") from None
