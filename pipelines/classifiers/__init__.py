"""fastText classifiers: trained, measured, and scored."""
