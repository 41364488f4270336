"""What the text of a cell stands for, hashed: across formats, and of values that people wrote."""
