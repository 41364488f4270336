"""The two languages of what people read."""
