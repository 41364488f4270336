"""How many rows and which columns a table has, told while its bytes go by."""
