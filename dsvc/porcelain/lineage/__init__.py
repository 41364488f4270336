"""Questions about where data came from and what became of it."""
