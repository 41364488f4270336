"""Commits, refs, reflogs and operations, kept in a bare git repository."""
