"""Evaluations that come back: result files read, causes ranked, repairs planned and proved."""
