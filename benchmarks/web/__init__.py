"""Real web pages for benchmarks: a WARC file of them, what is true of them, and the rivals that read them."""
