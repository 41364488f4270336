"""Where data came from and what became of it: in words, as a tree, as graphs, as JSON."""
