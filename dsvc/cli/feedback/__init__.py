"""Evaluations, the defects they open, and what caused these."""
