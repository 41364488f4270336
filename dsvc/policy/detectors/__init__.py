"""Detectors: what is looked for in the bytes themselves."""
