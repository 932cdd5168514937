"""Extraction of files in tests, as lists of rows."""

from pipelines.extract.records import ExtractConfig, extract_warc_files


def extract(*files, **values):
    """Rows of documents, removals and losses; the counts of each batch are held against its tables."""
    batches = list(extract_warc_files(files, "test", ExtractConfig(**values)))
    rows = {"documents": [], "removed": [], "losses": []}
    for batch in batches:
        for name, table in rows.items():
            table += getattr(batch, name).to_pylist()
        counts = batch.counts
        held = (counts.get("num_kept", 0), counts.get("num_removed", 0), counts.get("num_lost", 0))
        assert counts["num_records"] == sum(held)
        assert held == (batch.documents.num_rows, batch.removed.num_rows, batch.losses.num_rows)
    return rows
