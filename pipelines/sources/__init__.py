"""Sources of documents: groups of WARC files, and collections that join the crawl."""
