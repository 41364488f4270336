"""Differences between tables, and columns that moved."""
