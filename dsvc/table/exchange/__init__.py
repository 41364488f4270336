"""Tables as frames of other libraries, as files by name, as JSON."""
