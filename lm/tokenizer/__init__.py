"""Byte-level byte-pair encoding: learn merges from text, turn text into ids and back.

patterns      where a merge may never reach across, as regular expressions; special tokens as boundaries
pretokenize   the same over UTF-8 bytes: `scanners` one character at a time, `blocks` 64 bytes at a time, with the kinds
              of characters from `unicode_tables`
train         `train_bpe`: `count` the pre-tokens, `learn` the merges
tokenizer     `Tokenizer`: encode, decode, save, load; the loops are in `encode` (`merge`, `merge_tables`) and `join`
stream        text that comes or goes in pieces, and where tokens lie in it
formats       the files of GPT-2, `tokenizers` and tiktoken
baselines     characters, bytes and words, and the comparison with them
reference     all of it in plain Python, as the definition has it

What is imported from here loads without numba, which the first call that counts or encodes loads.
"""

from lm.tokenizer.tokenizer import SPECIAL_TOKENS, Tokenizer
from lm.tokenizer.train import train_bpe

__all__ = ["SPECIAL_TOKENS", "Tokenizer", "train_bpe"]
