"""Automation: partitions, jobs, schedules, sensors, presets."""
