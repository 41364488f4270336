"""Readers of result files, one for each tool that writes them."""
