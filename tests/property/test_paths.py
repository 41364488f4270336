"""The path rule over arbitrary bytes."""
