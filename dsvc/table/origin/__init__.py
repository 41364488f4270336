"""Where the bytes of a table come from, how much is read, and what is wrong with those that are none."""
