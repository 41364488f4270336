"""Rules, one file a family."""
