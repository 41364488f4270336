"""Verbs on runs: what made which data from which."""

from __future__ import annotations

from dsvc.porcelain.workspace import Workspace


class RunVerbs(Workspace):
    """The part of `dsvc.Repository` that knows runs."""
