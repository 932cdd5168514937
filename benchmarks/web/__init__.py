"""Real web pages for benchmarks: WARC files, ground truth, and rival extractors."""
