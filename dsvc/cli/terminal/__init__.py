"""Standard output and standard error: lines and JSON, colours, progress, the pager."""
