"""Different content with equal XXH3-128 stays different content."""
