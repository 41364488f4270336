"""Nothing is written or removed through a symlink, not even through one planted meanwhile."""
