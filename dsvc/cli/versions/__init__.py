"""Commits and what they change: lists, differences, the history, what verbs that moved files say."""
