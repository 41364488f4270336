"""release export: files of a release and its documents in a folder, as loaders of Croissant expect them."""

from __future__ import annotations

import os
from typing import ClassVar, Final, NamedTuple

from dsvc.fs import files
from dsvc.fs.beneath import Beneath
from dsvc.model.errors import CorruptDataError, WouldOverwriteError
from dsvc.model.paths import display_path
from dsvc.porcelain.policy.licences import check_export
from dsvc.porcelain.records.release_chain import (
    CARD,
    CARD_ZH,
    CROISSANT,
    STATEMENT,
    ReleaseState,
    ReleaseStateError,
    created_release,
    release_part,
)
from dsvc.porcelain.state.moment import now
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.materialize import TreeWriter

_INSTEAD: Final = {CARD: b"DATASET.md", CARD_ZH: b"DATASET.zh.md"}
"""Where a document goes if the release has a file of its name."""


class FolderNotEmptyError(WouldOverwriteError):
    """A release is written into a folder that has something in it already."""

    code: ClassVar[str] = "folder-not-empty"


class Exported(NamedTuple):
    """A release that was written into a folder.

    Attributes
    ----------
    state : ReleaseState
    files, size : int
        Files of the release, and their bytes.
    documents : tuple of bytes
        Names of its documents there.
    """

    state: ReleaseState
    files: int
    size: int
    documents: tuple[bytes, ...]


def export(repo: Workspace, name: str, folder: str) -> Exported:
    """Write the files of a release and its documents into a new or empty folder.

    Documents are ``README.md`` (``README.zh.md``), ``croissant.json`` and ``statement.jsonl``; where the
    release has a file of such a name, its card is ``DATASET.md``, and others have ``release-`` before theirs.

    Raises
    ------
    NoSuchReleaseError
        If there is none of that name.
    ReleaseStateError
        If it isn't given out any more.
    FolderNotEmptyError
        If there is something in the folder.
    MayNotBeSharedError, SharingUndeterminedError
        If a policy is in force, and licences don't permit to give it to others.
    MissingDataError, ErasedError, CorruptDataError
        If a file can't be had, or isn't the one that was released.
    StorageError
        If it can't be written.
    """
    state, facts = created_release(repo, name)
    if not state.status.is_given_out:
        raise ReleaseStateError(
            f"release {name} is {state.status.value}: {state.reason}",
            hint=f"dsvc release show {name}",
            details={"release": name, "status": state.status.value},
        )
    commit = state.commit
    assert commit is not None, "it was created"
    check_export(repo, commit, now().day)
    manifest = repo.manifest_of(str(commit))
    taken = {file.path for file in facts.files}
    placed = {path: _place(path, taken) for path in (CARD, CARD_ZH, CROISSANT, STATEMENT)}
    _make_empty(folder)
    with Beneath(folder) as tree:
        writer = TreeWriter(repo.store, tree, repo.layout.temporary)
        for file in facts.files:
            entry = manifest.get(file.path)
            if entry is None or entry.digest.hex() != file.blake3:
                raise CorruptDataError(f"{display_path(file.path)} is not the file that was released")
            writer.write(entry)
        for path, place in placed.items():
            parent, leaf = tree.split(place, create=True)
            fd = files.open_new(leaf, dir_fd=parent)
            try:
                files.write(fd, release_part(repo, state, path), place)
            finally:
                os.close(fd)
    return Exported(state, len(facts.files), facts.size, tuple(placed.values()))


def _place(path: bytes, taken: set[bytes]) -> bytes:
    """Name of a document: its own, or one that no file of the release has."""
    place = path
    while place in taken or any(each.startswith(place + b"/") for each in taken):
        place = _INSTEAD[place] if place in _INSTEAD else b"release-" + place
    return place


def _make_empty(folder: str) -> None:
    if os.path.lexists(folder):
        try:
            empty = not os.listdir(folder)
        except NotADirectoryError:
            empty = False
        except OSError as error:
            raise files.storage_error(error, "read", folder) from error
        if not empty:
            raise FolderNotEmptyError(
                f"{folder} is there already, and not an empty folder", hint="name a new folder"
            )
    else:
        files.make_folders(folder, durable=False)
