"""Sources of documents: groups of WARC files, and added collections."""
