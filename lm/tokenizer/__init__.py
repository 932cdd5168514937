"""Byte-level byte-pair encoding: training from text, encoding and decoding.

tokenizer       `Tokenizer`: encode, decode, save, load
patterns        the pre-token patterns as regular expressions; special tokens as boundaries
pretokenizing/  scanners that split UTF-8 bytes by these patterns
training/       `train_bpe`: pre-tokens are counted, then merges are learned
encoding/       the merge loop behind `encode`, and its inverse behind `decode`
stream          text in pieces, and the character span of each token
gpt2_files      `vocab.json` and `merges.txt`
formats         the files of `tokenizers` and tiktoken; huggingface_settings checks those of `tokenizers`
vocabulary      the checks of a vocabulary and its merges
text_batches    texts as UTF-8 bytes with borders; utf8 has the conversion of one
raw_memory      bytes by address, for the compiled loops
baselines       character, byte and word tokenizers, and a comparison with them
reference       byte-pair encoding in plain Python
warm            compilation of all loops into the cache

The import is light: numba is loaded by the first call that trains or encodes.
"""

from lm.tokenizer.tokenizer import SPECIAL_TOKENS, Tokenizer
from lm.tokenizer.training.train import train_bpe

__all__ = ["SPECIAL_TOKENS", "Tokenizer", "train_bpe"]
