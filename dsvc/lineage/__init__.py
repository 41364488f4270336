"""Lineage: where every artifact and row comes from: sources, runs, row maps, the graph of them."""
