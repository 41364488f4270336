"""Tables in columns, Parquet and Arrow: opened within limits, written again."""
