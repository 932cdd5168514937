"""The byte-level BPE tokenizer: text to ids and back.

Every text can be encoded, since single bytes are tokens; decoding returns the same text. Text from outside never
becomes a special token unless the caller names that token in `allowed_special`. The import is light: numba is loaded by
the first call that encodes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lm.errors import ConfigurationError, InputError
from lm.locations import is_remote, locate
from lm.storage import MANIFEST, Artifact, open_artifact, write_json
from lm.tokenizer.gpt2_files import read_gpt2
from lm.tokenizer.patterns import check_pattern, special_splitter
from lm.tokenizer.text_batches import Bytes, Offsets, batches, many_texts, one_text
from lm.tokenizer.vocabulary import add_ids, check_merges, check_names, ids_by_token

if TYPE_CHECKING:
    import pyarrow as pa

    from lm.tokenizer.encoding.decode import Joiner
    from lm.tokenizer.encoding.encode import Encoder

FILE = "tokenizer.json"
END_OF_TEXT = "<|endoftext|>"
SPECIAL_TOKENS = (END_OF_TEXT, "<|system|>", "<|user|>", "<|assistant|>", "<|end|>")
"""The special tokens of every Loam tokenizer, in this order after the merges."""

_FORMAT = "loam-tokenizer/2"
_FEW_IDS = 8

AllowedSpecial = Literal["none", "all"] | frozenset[str] | set[str]
Ids = npt.NDArray[np.uint32]


class Tokenizer:
    """A byte-level BPE tokenizer. `vocab` maps ids to byte strings, and `merges` lists pairs in the order learned.

    A special token whose text the vocabulary holds keeps that id; the others take the ids that follow the largest. Ids
    may have gaps. Threads may share a tokenizer.

    `added_tokens` are texts that are one token wherever they occur, in text from outside too; their ids are given as
    those of special tokens. With `ignore_merges` a pre-token that the vocabulary holds is one token, whether or not the
    merges lead to it, as in Llama 3.

    Raises:
        InputError: the vocabulary lacks a byte, or a part or the result of a merge, or gives two ids to one token; a
            merge is repeated.
        ConfigurationError: no pattern has that name; a special or added token is repeated or empty; a special token is
            the result of a merge.
    """

    def __init__(
        self,
        vocab: Mapping[int, bytes],
        merges: Iterable[tuple[bytes, bytes]],
        special_tokens: Sequence[str] | None = None,
        *,
        pattern: str = "gpt2",
        added_tokens: Sequence[str] = (),
        ignore_merges: bool = False,
    ) -> None:
        self.pattern = check_pattern(pattern)
        self.merges = list(merges)
        self.special_tokens = tuple(special_tokens or ())
        self.added_tokens = tuple(added_tokens)
        self.ignore_merges = ignore_merges
        self._ids = ids_by_token(vocab)
        check_merges(self.merges, self._ids)
        check_names(self.special_tokens, self.added_tokens, self.merges)
        self._special_ids = add_ids(self.special_tokens, self._ids)
        self._added_ids = add_ids(self.added_tokens, self._ids)
        self._token_bytes: list[bytes | None] = [None] * (max(self._ids.values()) + 1)
        for token, i in self._ids.items():
            self._token_bytes[i] = token

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_encoder", "_joiner", "_numbers")}

    @cached_property
    def _encoder(self) -> Encoder:
        from lm.tokenizer.encoding.encode import Encoder

        whole_tokens: list[bytes] = []
        if self.ignore_merges:
            apart = {name.encode() for name in (*self.special_tokens, *self.added_tokens)}
            whole_tokens = [token for token in self._ids if token not in apart]
        return Encoder(self._ids, self.merges, self.pattern, whole_tokens)

    @cached_property
    def _numbers(self) -> npt.NDArray[np.object_]:
        """Each id as a Python number: returning an existing one is faster than making one."""
        return np.arange(self.vocab_size).astype(object)

    @cached_property
    def _joiner(self) -> Joiner:
        from lm.tokenizer.encoding.decode import Joiner

        return Joiner(self._token_bytes)

    def prepare(self) -> None:
        """Build the tables for encoding and decoding, which the first calls would otherwise build."""
        _ = self._encoder, self._joiner, self._numbers

    @property
    def vocab(self) -> dict[int, bytes]:
        """Return every id and its bytes, special tokens included."""
        return {i: token for i, token in enumerate(self._token_bytes) if token is not None}

    @property
    def vocab_size(self) -> int:
        """Return one more than the largest id."""
        return len(self._token_bytes)

    @property
    def end_of_text_id(self) -> int:
        """Return the id of `<|endoftext|>`."""
        return self.special_id(END_OF_TEXT)

    @cached_property
    def digest(self) -> str:
        """Return the sha256 of the content: the tokenizer's identity."""
        return hashlib.sha256(json.dumps(self._content(), sort_keys=True).encode()).hexdigest()

    def special_id(self, name: str) -> int:
        """Return the id of a special token.

        Raises:
            ConfigurationError: no special token has that name.
        """
        if name not in self._special_ids:
            raise ConfigurationError(f"special token '{name}': expected one of {', '.join(self.special_tokens)}")
        return self._special_ids[name]

    def token_id(self, name: str) -> int:
        """Return the id of the token whose text is `name`, special or not.

        Raises:
            ConfigurationError: no token has that text.
        """
        token_id = self._ids.get(name.encode())
        if token_id is None:
            raise ConfigurationError(f"token {name!r}: not in the vocabulary")
        return token_id

    def encode(self, text: str, allowed_special: AllowedSpecial = "none") -> list[int]:
        """Return the ids of `text`. Special tokens in it are recognized if they are in `allowed_special`.

        Raises:
            InputError: the text holds a lone surrogate.
            ConfigurationError: `allowed_special` names an unknown special token.
        """
        return self._numbers[self.encode_array(text, allowed_special)].tolist()

    def encode_array(self, text: str, allowed_special: AllowedSpecial = "none") -> Ids:
        """Return the ids of `text` as an array."""
        pieces = [
            np.array([piece], np.uint32) if isinstance(piece, int) else self._encode_plain([piece])[0]
            for piece in self.split_special(text, allowed_special)
        ]
        return pieces[0] if len(pieces) == 1 else np.concatenate([np.empty(0, np.uint32), *pieces])

    def encode_batch(self, texts: Sequence[str], num_threads: int = 1) -> list[Ids]:
        """Return the ids of each text, as arrays; no special tokens. Threads share the work."""
        groups = list(batches(texts))
        if num_threads <= 1 or len(groups) == 1:
            return list(itertools.chain.from_iterable(map(self._encode_group, groups)))
        with ThreadPoolExecutor(max_workers=num_threads) as pool:
            return list(itertools.chain.from_iterable(pool.map(self._encode_group, groups)))

    def encode_documents(self, documents: pa.Array | pa.ChunkedArray) -> pa.Array:
        """Return the ids of each document of an Arrow string array, as a list array of uint16 where the vocabulary
        allows.

        Raises:
            InputError: the array is not of strings, or holds a null or invalid UTF-8.
        """
        from lm.tokenizer.encoding.arrow import encode_strings

        return encode_strings(documents, self._encode_bytes, self.vocab_size)

    def encode_iterable(self, texts: Iterable[str], allowed_special: AllowedSpecial = "none") -> Iterator[int]:
        """Return the ids of the concatenated `texts`, lazily; memory holds some 100 kB or the longest pre-token."""
        from lm.tokenizer.stream import final_parts

        allowed = self._allowed(allowed_special)
        parts = final_parts(texts, self.pattern, allowed.union(self.added_tokens))
        return itertools.chain.from_iterable(self.encode(part, allowed_special=allowed) for part in parts)

    def encode_offsets(
        self, text: str, allowed_special: AllowedSpecial = "none"
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Return the ids of `text`, and the span of characters of each: `text[start:end]`.

        Tokens that share a character each have it in their span.
        """
        from lm.tokenizer.stream import character_spans

        ids = self.encode(text, allowed_special)
        return ids, character_spans(text, [len(self.decode_bytes([i])) for i in ids])

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """Return the bytes of `ids`.

        Raises:
            InputError: an id lies outside the vocabulary.
        """
        return bytes(self._joined(ids))

    def decode(self, ids: Iterable[int], errors: str = "replace") -> str:
        """Return the text of `ids`; `errors` is the treatment of bytes that are not UTF-8, as in `bytes.decode`."""
        return str(self._joined(ids), "utf-8", errors)

    def _joined(self, ids: Iterable[int]) -> bytes | memoryview:
        if type(ids) is not list and not isinstance(ids, Sized):  # the first is quicker to see
            ids = list(ids)
        if len(ids) < _FEW_IDS:  # a call of a compiled function would cost more
            return b"".join(map(self._bytes_of, ids))
        joined = self._joiner.join(ids)
        if joined is None:
            raise self._unknown_id(ids)
        return joined

    def save(self, folder: Path | str) -> None:
        """Write `tokenizer.json` into `folder`; equal tokenizers write equal bytes."""
        write_json(Path(folder) / FILE, {**self._content(), "digest": self.digest})

    @classmethod
    def from_files(
        cls,
        vocab_filepath: Path | str,
        merges_filepath: Path | str,
        special_tokens: Sequence[str] | None = None,
        *,
        pattern: str = "gpt2",
    ) -> Tokenizer:
        """Read GPT-2's files, `vocab.json` and `merges.txt`; `lm.tokenizer.formats` reads the others."""
        vocab, merges = read_gpt2(Path(vocab_filepath), Path(merges_filepath), special_tokens or ())
        return cls(vocab, merges, special_tokens, pattern=pattern)

    @classmethod
    def load(cls, source: Path | str | Artifact) -> Tokenizer:
        """Read a saved tokenizer from a folder, from a published artifact, or from its path.

        Raises:
            InputError: no tokenizer there, or a damaged one; names the file.
            IntegrityError: an artifact whose bytes changed.
        """
        if not isinstance(source, Artifact):
            source = locate(source)
            if is_remote(source) or (source / MANIFEST).exists():
                source = open_artifact(source)
        path = source.file(FILE) if isinstance(source, Artifact) else source / FILE
        try:
            content = json.loads(path.read_bytes())
            tokenizer = cls._from_content(content)
            expected = content["digest"]
        except FileNotFoundError:
            raise InputError(f"{path}: no tokenizer here") from None
        except (InputError, ConfigurationError) as error:
            raise InputError(f"{path}: {error}") from None
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise InputError(f"{path}: not a tokenizer ({type(error).__name__}: {error})") from None
        if tokenizer.digest != expected:
            raise InputError(f"{path}: digest of the content is {tokenizer.digest}, expected {expected}")
        return tokenizer

    def split_special(self, text: str, allowed_special: AllowedSpecial) -> Iterator[str | int]:
        """Yield the ids of allowed special tokens and of added tokens, and the text between them."""
        names = self._allowed(allowed_special).union(self.added_tokens)
        if not names:
            yield text
            return
        ids = self._added_ids | self._special_ids
        for i, part in enumerate(special_splitter(names).split(text)):
            if i % 2:
                yield ids[part]
            elif part:
                yield part

    def _encode_group(self, texts: Sequence[str]) -> list[Ids]:
        return list(map(self.encode_array, texts)) if self.added_tokens else self._encode_plain(texts)

    def _encode_bytes(self, data: Bytes, boundaries: Offsets) -> tuple[Ids, Offsets]:
        """Return the ids of documents in UTF-8, one after the other, and the border of each in them."""
        if not self.added_tokens:
            return self._encoder.encode(data, boundaries)
        texts = [bytes(data[start:end]).decode() for start, end in itertools.pairwise(boundaries.tolist())]
        encoded = list(map(self.encode_array, texts))
        return np.concatenate([np.empty(0, np.uint32), *encoded]), np.cumsum([0, *map(len, encoded)])

    def _encode_plain(self, texts: Sequence[str]) -> list[Ids]:
        data, boundaries = one_text(texts[0]) if len(texts) == 1 else many_texts(texts)
        ids, borders = self._encoder.encode(data, boundaries)
        edges = borders.tolist()
        return [ids[start:end] for start, end in itertools.pairwise(edges)]

    def _allowed(self, allowed_special: AllowedSpecial) -> frozenset[str]:
        if allowed_special == "none":
            return frozenset()
        if allowed_special == "all":
            return frozenset(self.special_tokens)
        for name in allowed_special:
            self.special_id(name)
        return frozenset(allowed_special)

    def _bytes_of(self, i: int) -> bytes:
        token = self._token_bytes[i] if 0 <= i < len(self._token_bytes) else None
        if token is None:
            raise self._unknown_id([i])
        return token

    def _unknown_id(self, ids: Iterable[int]) -> InputError:
        for i in map(int, ids):
            if not 0 <= i < self.vocab_size:
                return InputError(f"token id {i}, expected 0 to {self.vocab_size - 1}")
            if self._token_bytes[i] is None:
                return InputError(f"token id {i} has no token: the vocabulary has a gap there")
        raise AssertionError("every id is known")

    def _content(self) -> dict[str, Any]:
        return {
            "format": _FORMAT,
            "pattern": self.pattern,
            "vocab": [None if token is None else token.hex() for token in self._token_bytes],
            "merges": [[self._ids[left], self._ids[right]] for left, right in self.merges],
            "special_tokens": list(self.special_tokens),
            **({"added_tokens": list(self.added_tokens)} if self.added_tokens else {}),
            **({"ignore_merges": True} if self.ignore_merges else {}),
        }

    @classmethod
    def _from_content(cls, content: Mapping[str, Any]) -> Tokenizer:
        if content["format"] != _FORMAT:
            raise ValueError(f"format is '{content['format']}', expected '{_FORMAT}'")
        vocab = {i: bytes.fromhex(token) for i, token in enumerate(content["vocab"]) if token is not None}
        merges = [(vocab[left], vocab[right]) for left, right in content["merges"]]
        rare = {key: content[key] for key in ("added_tokens", "ignore_merges") if key in content}
        return cls(vocab, merges, content["special_tokens"], pattern=content["pattern"], **rare)
