"""Requests of people about their data."""
