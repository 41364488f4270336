"""Verbs on sources: where data came from, by which right."""

from __future__ import annotations

from dsvc.porcelain.workspace import Workspace


class SourceVerbs(Workspace):
    """The part of `dsvc.Repository` that knows sources."""
