"""Verbs on sources and their evidence."""
