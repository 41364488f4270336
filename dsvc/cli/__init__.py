"""The command line: text, exit codes, environment."""
