"""Runs as they were recorded, and files that are behind what they were made from."""
