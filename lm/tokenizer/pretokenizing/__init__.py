"""Pre-tokenization: text cut at its pattern's boundaries, over UTF-8 bytes and without a regular expression engine.

pretokenize      the pre-tokens of a text, and the compiled loop over documents
scanners         the end of one pre-token, one character at a time
block_scanner    the ends of many pre-tokens, 64 bytes at a time
simd_masks       vector comparisons of 64 bytes, one bit a byte
unicode_tables   the character class of every code point
unicode_runs     the stored table, generated
"""
