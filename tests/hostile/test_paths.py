"""Hostile names, modes and sizes: refused before anything is written; honest names come back byte by byte."""
