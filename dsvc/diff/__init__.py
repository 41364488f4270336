"""Deltas between manifests and texts, three-way merge."""
