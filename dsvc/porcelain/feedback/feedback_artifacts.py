"""Artifacts of the version that was evaluated: tables with their rows, folders whose files are the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.model.feedback import Selector
from dsvc.model.paths import display_path
from dsvc.porcelain.feedback.feedback_rows import TableRowsBy
from dsvc.porcelain.feedback.feedback_subject import Evaluated
from dsvc.porcelain.lineage.artifact_version import folder_artifacts, open_table
from dsvc.porcelain.runs.run_artifacts import ArtifactFiles
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.row_indexes import RowIndexes
from dsvc.table.origin.source import NotATableError, TableLimitError

if TYPE_CHECKING:
    from dsvc.model.manifest import Entry

MAX_TABLES: Final = 64
"""Tables of a subject in which a row is looked for by its hash."""
FILE: Final = "file"
"""What the one column of a folder's rows is called."""


class Place(NamedTuple):
    """An artifact of the version: a table, or a folder whose files are the rows."""

    path: bytes
    digest: bytes
    folder: bool = False


class Artifact:
    """An artifact of the version, opened when it is asked."""

    def __init__(self, place: Place, files: ArtifactFiles, table: TableRowsBy | None, why_not: str) -> None:
        self.place, self.files, self.table, self.why_not = place, files, table, why_not
        self._numbers: dict[bytes, int] | None = None

    @property
    def rows(self) -> int:
        """Number of its rows, of a folder of its files."""
        return len(self.files.entries) if self.table is None else self.table.rows

    def number(self, path: bytes) -> int | None:
        """Number of a file of a folder, by its path from the root or from the folder."""
        if self._numbers is None:
            self._numbers = {each.path: number for number, each in enumerate(self.files.members())}
        prefix = self.place.path + b"/" if self.place.path else b""
        found = self._numbers.get(path.removeprefix(prefix) if path.startswith(prefix) else path)
        return self._numbers.get(path) if found is None else found


class VersionArtifacts:
    """Artifacts of one version, each opened once.

    Parameters
    ----------
    repo : Workspace
    evaluated : Evaluated
        The subject and its version.
    default : Evaluated or None
        What a selector without a path speaks of: the evaluation set, where the file names one.
    """

    def __init__(self, repo: Workspace, evaluated: Evaluated, default: Evaluated | None = None) -> None:
        self._repo = repo
        self._evaluated = evaluated
        self._default = default or evaluated
        self._indexes = RowIndexes(repo)
        self._artifacts: dict[tuple[bytes, bytes], Artifact] = {}
        self._paths: dict[bytes | None, Artifact | str] = {}
        self._candidates: list[Artifact] | None = None

    def artifact(self, place: Place) -> Artifact:
        """Give an artifact that was opened before."""
        return self._artifacts[place.path, place.digest]

    def defaults(self) -> list[Artifact]:
        """Give the artifacts of the subject, or of the evaluation set, as far as they have rows."""
        if self._candidates is None:
            tables = [self._open(entry) for entry in self._default.tables(MAX_TABLES + 1)]
            self._candidates = [each for each in tables if each.table is not None]
            if not self._candidates and self._default.subject.folder:
                folder = self._folder(self._default.subject.path, self._default)
                self._candidates = [] if folder is None else [folder]
        return self._candidates

    def _open(self, entry: Entry) -> Artifact:
        place = Place(entry.path, entry.digest)
        known = self._artifacts.get(place[:2])
        if known is None:
            why_not = f"{display_path(entry.path)} is no table"
            table = None
            try:
                opened = open_table(self._repo, entry, self._indexes)
                table = None if opened is None else TableRowsBy(opened)
            except (NotATableError, TableLimitError) as error:
                why_not = error.message
            known = Artifact(place, ArtifactFiles(entry.path, False, (entry,)), table, why_not)
            self._artifacts[place[:2]] = known
        return known

    def _folder(self, path: bytes, evaluated: Evaluated) -> Artifact | None:
        files = next(iter(folder_artifacts(path, evaluated.manifest.entries(path))), None)
        if files is None:
            return None
        place = Place(path, files.artifact().digest, folder=True)
        return self._artifacts.setdefault(place[:2], Artifact(place, files, None, "a folder has files"))

    def at(self, path: bytes) -> Artifact | str:
        """Give the artifact of a path, or why there is none: a table, or the folder that has the file."""
        if path not in self._paths:
            self._paths[path] = self._find(path)
        return self._paths[path]

    def _find(self, path: bytes) -> Artifact | str:
        subject, manifest = self._evaluated.subject, self._evaluated.manifest
        tries = [path, *([subject.path + b"/" + path] if subject.folder and subject.path else [])]
        for at in tries:
            entry = manifest.get(at)
            if entry is not None and entry.is_file:
                opened = self._open(entry)
                return opened if opened.table is not None else self._holding(at, opened)
            folder = self._folder(at, self._evaluated)
            if folder is not None:
                return folder
        return f"there is no {display_path(path)} in {self._evaluated.commit[:12]}"

    def _holding(self, path: bytes, file: Artifact) -> Artifact:
        """The folder of whose files this is one."""
        subject = self._evaluated.subject
        below = subject.folder and bool(subject.path) and path.startswith(subject.path + b"/")
        at = subject.path if below else path.rpartition(b"/")[0]
        return self._folder(at, self._evaluated) or file

    def default_for(self, selector: Selector) -> Artifact | str:
        """Give the artifact that a selector without a path speaks of, or why that isn't known."""
        found = self.defaults()
        if len(found) == 1:
            return found[0]
        if selector.row is not None and set(selector.row) == {FILE}:
            folder = self._folder(self._default.subject.path, self._default)
            if folder is not None:
                return folder
        name = display_path(self._default.subject.path) or "the version"
        return f"it names no path, and {name} has {'no table' if not found else 'several tables'}"
