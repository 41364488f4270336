"""Contract suites, strategies, the checker and fault tools, shipped for third parties."""
