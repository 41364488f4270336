"""Verbs on the rows of tables."""

from __future__ import annotations

from dsvc.porcelain.workspace import Workspace


class TableVerbs(Workspace):
    """The part of `dsvc.Repository` that knows rows and columns."""
