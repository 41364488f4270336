"""Nothing in a repository is run: no hook, no filter, no command from its configuration."""
