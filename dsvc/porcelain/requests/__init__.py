"""Requests of people about their data: found, redacted, erased."""
