"""Verbs that make, combine and bring back versions."""
