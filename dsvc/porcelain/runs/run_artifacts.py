"""Artifacts of a run whose bytes are stored: files, tables of a folder, the other files of a folder."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec

from dsvc.lineage.artifacts import file_artifact, folder_artifact, relative
from dsvc.lineage.run_tree import Files
from dsvc.model.manifest import Entry, Kind
from dsvc.model.run_record import Artifact, Role

MAX_FOLDER_TABLES: Final = 64
"""Tables of a folder that are artifacts of their own; where there are more, all files are one artifact."""


class ArtifactFiles(NamedTuple):
    """An artifact whose bytes are stored.

    Attributes
    ----------
    path : bytes
        Of the file or the folder.
    folder : bool
        Whether it is files of a folder.
    entries : tuple of Entry
        Its files, with paths in the working tree.
    role : Role
        Of an input.
    """

    path: bytes
    folder: bool
    entries: tuple[Entry, ...]
    role: Role = Role.INPUT

    def members(self) -> list[Entry]:
        """Files of a folder with paths relative to it, in order."""
        return relative(self.entries, self.path)

    def artifact(self, rows: int | None = None) -> Artifact:
        """Name it by path and digest.

        Parameters
        ----------
        rows : int or None
            Rows of a table, where it could be read.
        """
        if self.folder:
            return folder_artifact(self.path, self.members())
        return msgspec.structs.replace(file_artifact(self.entries[0]), records=rows)

    def fields(self, rows: int | None) -> dict[str, Any]:
        """Fields that it has in a run's record, as an input or an output; parameters as `artifact`."""
        found = self.artifact(rows)
        return {name: getattr(found, name) for name in found.__struct_fields__}

    def files(self) -> Files:
        """Bytes as `dsvc.lineage.run_tree.store_run` takes them."""
        return Files(self.members() if self.folder else self.entries, self.folder)


def artifacts_of_folder(
    folder: bytes, entries: Iterable[Entry], role: Role = Role.INPUT
) -> list[ArtifactFiles]:
    """Take the files of a folder apart: each table is an artifact, all other files together are one."""
    files = sorted(entries, key=lambda entry: entry.path)
    tables = [entry for entry in files if entry.kind == Kind.TABLE]
    if len(tables) > MAX_FOLDER_TABLES or role is Role.LOOKUP:
        tables = []
    own = {entry.path for entry in tables}
    rest = tuple(entry for entry in files if entry.path not in own)
    found = [ArtifactFiles(entry.path, False, (entry,), role) for entry in tables]
    if rest or not tables:
        found.insert(0, ArtifactFiles(folder, True, rest, role))
    return found
