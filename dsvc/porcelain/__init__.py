"""The verbs a user knows: Repository and one module for each."""
