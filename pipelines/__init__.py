"""The refinery: web records in, clean and deduplicated documents out. Knows neither dagster nor, at import, torch."""
