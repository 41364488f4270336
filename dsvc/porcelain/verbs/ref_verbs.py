"""Verbs on refs and operations: branches, tags, reflog, undo."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from dsvc.history.operations import Operation
    from dsvc.history.reflog import ReflogEntry
    from dsvc.porcelain.state import values


class RefVerbs(Workspace):
    """The part of `dsvc.Repository` that moves names and leaves content alone."""

    def undo(self, operation: str | None = None) -> values.UndoResult:
        """Take an operation back; see `undo.undo`."""
        from dsvc.porcelain.versions.undo import undo

        return undo(self, operation)

    def operations(self, limit: int | None = None) -> list[Operation]:
        """List operations, newest first."""
        return self.history.operations.list(limit)

    def reflog(self, ref: str = "HEAD") -> list[ReflogEntry]:
        """Where a ref was, newest first; see `log.reflog`."""
        from dsvc.porcelain.lineage.log import reflog

        return reflog(self, ref)

    def branches(self) -> list[values.RefInfo]:
        """Branches by name."""
        from dsvc.porcelain.versions import branch

        return branch.branches(self)

    def create_branch(self, name: str, rev: str | None = None, *, force: bool = False) -> values.RefInfo:
        """Make a branch at a revision; see `branch.create`."""
        from dsvc.porcelain.versions import branch

        return branch.create(self, name, rev, force=force)

    def delete_branch(self, name: str, *, force: bool = False) -> values.RefInfo:
        """Delete a branch; see `branch.delete`."""
        from dsvc.porcelain.versions import branch

        return branch.delete(self, name, force=force)

    def rename_branch(self, old: str, new: str) -> values.RefInfo:
        """Rename a branch; see `branch.rename`."""
        from dsvc.porcelain.versions import branch

        return branch.rename(self, old, new)

    def tags(self) -> list[values.RefInfo]:
        """Tags by name."""
        from dsvc.porcelain.versions import tag

        return tag.tags(self)

    def create_tag(
        self, name: str, rev: str | None = None, *, message: str | None = None, force: bool = False
    ) -> values.RefInfo:
        """Tag a revision; see `tag.create`."""
        from dsvc.porcelain.versions import tag

        return tag.create(self, name, rev, message=message, force=force)

    def delete_tag(self, name: str) -> values.RefInfo:
        """Delete a tag; see `tag.delete`."""
        from dsvc.porcelain.versions import tag

        return tag.delete(self, name)
