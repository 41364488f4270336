"""dsvc beside its peers: speed, size and memory, each step measured as a whole process."""
