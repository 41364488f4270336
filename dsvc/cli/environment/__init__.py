"""What the machine and the person at it say: variables, git's settings, what is trusted."""
