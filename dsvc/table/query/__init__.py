"""Conditions on rows, and SQL over versions."""
