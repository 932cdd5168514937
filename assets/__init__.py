"""Dagster definitions: assets, checks, jobs, schedules and sensors over `pipelines` and `lm`."""
