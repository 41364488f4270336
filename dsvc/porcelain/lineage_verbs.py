"""Verbs that ask where data came from and where it went, and whether that is known of all of it."""

from __future__ import annotations

from dsvc.porcelain.workspace import Workspace


class LineageVerbs(Workspace):
    """The part of `dsvc.Repository` that knows lineage."""
