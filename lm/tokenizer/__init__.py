"""Byte-level byte-pair encoding: learn merges from text, turn text into ids and back.

pretokenize   where a merge may never reach across: the patterns of GPT-2 and of this project
train         `train_bpe`: the most frequent pair is merged, again and again
tokenizer     `Tokenizer`: encode, decode, save, load
"""

from lm.tokenizer.tokenizer import Tokenizer
from lm.tokenizer.train import train_bpe

__all__ = ["Tokenizer", "train_bpe"]
