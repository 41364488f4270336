"""The working tree: scanned, compared, read, and written."""
