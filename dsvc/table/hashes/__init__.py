"""64 bits for each cell: by value in binary formats, by text in text formats."""
