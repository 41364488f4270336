"""Upkeep of what is stored: garbage, sizes, every version there is, checks of history."""
