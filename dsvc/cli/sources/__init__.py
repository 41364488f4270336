"""Sources, and templates to fill in for them."""
