"""What is recorded beside commits: chains of operations, sources, and what they say of lineage."""
