"""Rows and columns of versions and files: indexes from the cache, differences, queries."""
