"""Reports: facts, samples and charts of every step."""
