"""The Dagster room: assets, checks, jobs, schedules and sensors over `pipelines` and `lm`."""
