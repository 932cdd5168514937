"""WARC and WET files: records, and the losses of damaged ones."""
