"""Tables in text, CSV, TSV, JSON lines and arrays: where records begin, and what stands in them."""
