"""What is given out: its documents, and checking them again."""
