"""Row indexes: made, made from others, kept on the disk."""
