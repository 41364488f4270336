"""The path rule: fast answers agree with slow ones."""
