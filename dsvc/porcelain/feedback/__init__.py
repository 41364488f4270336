"""Evaluations imported, the defects they open, and what caused these."""
