"""Releases: made, checked, exported, ended."""
