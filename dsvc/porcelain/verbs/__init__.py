"""The methods of `Repository`, by subject; each calls the module that does the work."""
