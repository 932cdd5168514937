"""Curation: from WARC records to one clean corpus, as one list of steps, with or without Dagster."""
