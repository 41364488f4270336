"""What git hooks ask."""
