"""What a repository is at this moment: settings, what is staged, runs that wait, who signs, the clock."""
