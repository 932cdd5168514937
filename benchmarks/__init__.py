"""Measurements, one subject a file: `python -m benchmarks.SUBJECT [--json FILE] [--check]`, or `python -m benchmarks`.

demo_crawl    pages of the built-in crawl a second
demo          the whole chain: seconds, peak memory and learning, for several seeds
language      offline language identifiers: accuracy, speed and size
heuristics    heuristic rules beside those of datatrove: verdicts that agree, and why others do not
harmful       the toxic classifier on held-out tweets
"""
