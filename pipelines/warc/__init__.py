"""WARC and WET files: their records, whatever is damaged around them."""
