"""Forged twins: other bytes with the same XXH3-128."""
