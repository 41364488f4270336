"""Tables: what is one, how its rows are read, hashed, indexed and written again."""
