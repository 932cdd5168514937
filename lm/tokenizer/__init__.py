"""Byte-level byte-pair encoding: learn merges from text, turn text into ids and back.

tokenizer       `Tokenizer`: encode, decode, save, load
patterns        the pre-token patterns as regular expressions; special tokens as boundaries
pretokenizing/  scanners that split UTF-8 bytes by these patterns
training/       `train_bpe`: pre-tokens are counted, then merges are learned
encoding/       the merge loop behind `encode`, and its inverse behind `decode`
stream          text in pieces, and the character span of each token
gpt2_files      `vocab.json` and `merges.txt`
formats         the files of `tokenizers` and tiktoken
baselines       character, byte and word tokenizers, and a comparison with them
reference       byte-pair encoding in plain Python

What is imported from here loads without numba, which the first call that counts or encodes loads.
"""

from lm.tokenizer.tokenizer import SPECIAL_TOKENS, Tokenizer
from lm.tokenizer.training.train import train_bpe

__all__ = ["SPECIAL_TOKENS", "Tokenizer", "train_bpe"]
