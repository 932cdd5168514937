"""Curation: one list of steps from WARC records to a clean corpus, with or without Dagster."""
