"""Runs done again, whole or for some rows, and what they made put into place."""
