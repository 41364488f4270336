"""Commands and steps carried out and recorded: their files, rows, code and environment."""
