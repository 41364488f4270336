"""Rows and columns of a version, as Arrow data and as Python values."""
