"""Files that are imported: read as they were, kept as evidence, and refused if they change meanwhile."""

from __future__ import annotations

import os
import re
import stat as stat_module
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, Final, Self

import blake3

from dsvc.feedback.importers.importer import Companion
from dsvc.fs.beneath import Beneath
from dsvc.fs.files import storage_error
from dsvc.model.errors import DsvcError, NotFoundError, UsageError
from dsvc.porcelain.records.feedback_chain import EVIDENCE
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.safekeeping import store_file
from dsvc.store.ingest import FileStat, UnstableFileError

if TYPE_CHECKING:
    from dsvc.model.manifest import Entry

MAX_COMPANIONS: Final = 1000
_BUFFER_BYTES: Final = 1 << 20
_MAX_NAME_BYTES: Final = 160
_RESULTS: Final = re.compile(r"results_.*\.json")


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Translate what the system says where a file can't be read; raises StorageError."""
    try:
        yield
    except DsvcError:
        raise
    except OSError as error:
        raise storage_error(error, "read", name) from error


class EvidenceFile:
    """One file, as it was when it was opened first.

    Parameters
    ----------
    path : str
        Absolute, or below the current folder; links are followed.

    Raises
    ------
    NotFoundError
        If there is no such file.
    UsageError
        If it is no regular file.
    StorageError
        If it can't be read.
    """

    def __init__(self, path: str) -> None:
        self.name = os.fsencode(os.path.basename(path)).decode("utf-8", "replace")
        self.stored_name = _stored_name(self.name)
        try:
            self.path = os.path.realpath(path)
            found = os.stat(self.path)
        except (OSError, ValueError) as error:  # the latter of a name with a NUL
            raise NotFoundError(f"there is no file {self.name}", details={"path": self.name}) from error
        if not stat_module.S_ISREG(found.st_mode):
            raise UsageError(f"{self.name} is no file", details={"path": self.name})
        self.stat = FileStat.of(found)
        self.digest = self._hash()

    def open(self) -> BinaryIO:
        """Open it anew.

        Raises
        ------
        StorageError
            If it can't be opened; whoever reads it says by `reading` where reading fails.
        """
        with reading(self.name):
            return open(self.path, "rb", buffering=_BUFFER_BYTES)

    def _hash(self) -> bytes:
        hasher = blake3.blake3()
        with reading(self.name), self.open() as stream:
            while part := stream.read(_BUFFER_BYTES):
                hasher.update(part)
        return hasher.digest()

    def check_unchanged(self) -> None:
        """See that it is what it was.

        Raises
        ------
        UnstableFileError
            If it isn't.
        """
        now = None
        with suppress(OSError):
            now = FileStat.of(os.stat(self.path))
        if now != self.stat:
            raise self._changed()

    def _changed(self) -> UnstableFileError:
        return UnstableFileError(
            f"{self.name} changed while it was read", hint="try again", details={"path": self.name}
        )

    def store(self, repo: Workspace) -> Entry:
        """Store its bytes; raises as `check_unchanged`."""
        folder, name = os.path.split(self.path)
        with Beneath(folder) as tree:
            entry = store_file(repo.store, tree, os.fsencode(name), None, at=EVIDENCE)
        if entry is None or entry.digest != self.digest:
            raise self._changed()
        return entry


class EvidenceFiles:
    """The imported file, and those that belong to it.

    Parameters
    ----------
    main : EvidenceFile
    others : sequence of EvidenceFile
    """

    def __init__(self, main: EvidenceFile, others: Sequence[EvidenceFile]) -> None:
        self.main = main
        self._others = others

    @property
    def paths(self) -> list[str]:
        """Where they are."""
        return [each.path for each in (self.main, *self._others)]

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(each.stat.size for each in (self.main, *self._others))

    @classmethod
    def open(cls, path: str, companions: Sequence[str] = ()) -> Self:
        """Open a file, or a folder as evaluation tools write it: results, and samples beside them.

        Raises
        ------
        NotFoundError, UsageError, StorageError
            As `EvidenceFile`; also if a folder has no results.
        """
        if len(companions) > MAX_COMPANIONS:
            raise UsageError(f"at most {MAX_COMPANIONS} files belong to an evaluation")
        if not os.path.isdir(path):
            return cls(EvidenceFile(path), [EvidenceFile(each) for each in companions])
        with reading(path):
            names = sorted(name for name in os.listdir(path) if os.path.isfile(os.path.join(path, name)))
        results = [name for name in names if _RESULTS.fullmatch(name)]
        if len(results) != 1 or len(names) > MAX_COMPANIONS:
            raise UsageError(
                f"the folder has {len(results) or 'no'} files of results",
                hint="name the file itself; --with FILE adds those that belong to it",
            )
        rest = [os.path.join(path, name) for name in names if name != results[0]]
        main = EvidenceFile(os.path.join(path, results[0]))
        return cls(main, [EvidenceFile(each) for each in (*rest, *companions)])

    def companions(self) -> tuple[Companion, ...]:
        """Those that belong to the file, as readers take them."""
        return tuple(Companion(each.name, each.open) for each in self._others)

    def check_unchanged(self) -> None:
        """See that all are what they were; raises as `EvidenceFile.check_unchanged`."""
        for each in (self.main, *self._others):
            each.check_unchanged()

    def store(self, repo: Workspace) -> dict[str, Entry]:
        """Store all; gives their entries by name."""
        found: dict[str, Entry] = {}
        for each in (self.main, *self._others):
            name, number = each.stored_name, 1
            while name in found:
                number += 1
                name = f"{number}-{each.stored_name}"
            found[name] = each.store(repo)
        return found


def _stored_name(name: str) -> str:
    """The name as a path may have it, not too long; what it ends in stays."""
    plain = "".join("_" if sign == "/" or ord(sign) < 32 or sign == "\x7f" else sign for sign in name)
    stem, dot, ending = plain.rpartition(".")
    while len(plain.encode()) > _MAX_NAME_BYTES:
        stem = stem[: -max(1, len(stem) // 8)] if dot and stem else stem
        shorter = f"{stem}.{ending}" if dot and stem else plain[:-1]
        plain = shorter if shorter != plain else plain[:-1]
    return "evidence" if plain in ("", ".", "..") else plain
