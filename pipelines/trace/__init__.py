"""Trace: one document from its WARC record to the training steps that read it."""
