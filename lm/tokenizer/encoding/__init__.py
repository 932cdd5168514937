"""Encoding and decoding: pre-tokens to ids by the merges, and ids to bytes.

encode         the encoder and its cache of pre-tokens
merge          the merge loop over one pre-token
merge_tables   a tokenizer's merges as arrays
decode         ids to bytes
arrow          Arrow string arrays to Arrow lists of ids
"""
