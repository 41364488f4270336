"""Repairs: planned, applied, proven, verified."""
