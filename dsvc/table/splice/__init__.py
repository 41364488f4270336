"""New tables from rows and cells of others, in the format and settings of the first."""
