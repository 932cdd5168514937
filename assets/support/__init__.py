"""What assets share: configuration, errors, metadata, child processes."""
