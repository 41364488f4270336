"""What git is about to commit: names from the difference of its index, contents from its objects.

No name is ever given to git or to a shell: contents are asked for by their ids.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

from dsvc.fs import files
from dsvc.fs.beneath import Beneath
from dsvc.fs.temporary_folder import temporary_folder
from dsvc.model.manifest import MODE_EXECUTABLE, MODE_FILE, Entry
from dsvc.model.paths import check_structure, display_path
from dsvc.porcelain.hooks.git_checkout import GitCheckout, HookEnvironmentError
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import RULES_FILE
from dsvc.porcelain.tree.file_entry import entry_of_bytes
from dsvc.porcelain.tree.safekeeping import store_file

_IN_MEMORY_BYTES: Final = 4 << 20
_PART_BYTES: Final = 1 << 20
_MODES: Final = {b"100644": MODE_FILE, b"100755": MODE_EXECUTABLE}
_SETTINGS: Final = frozenset({b".gitattributes", b".gitignore", b".gitmodules"})
"""What git keeps of itself in its tree, in any folder: no data."""
_CHANGE = re.compile(rb":[0-7]{6} ([0-7]{6}) [0-9a-f]{40,64} ([0-9a-f]{40,64}) [A-Z][0-9]*")
_LISTED = re.compile(rb"([0-7]{6}) ([0-9a-f]{40,64}) 0\t", re.DOTALL)
_ANSWER = re.compile(rb"[0-9a-f]{40,64} blob ([0-9]{1,15})\n")


class GitFile(NamedTuple):
    """A file of git's index: its path in the dsvc repository, git's mode, the id of its content."""

    path: bytes
    mode: bytes
    id: bytes


def staged_in_git(repo: Workspace, git: GitCheckout) -> list[GitFile]:
    """List the files that git's next commit adds or changes below the working tree of dsvc.

    Links and other repositories have no content here and are left out, as is what lies elsewhere, and what
    git keeps there of its own settings.

    Raises
    ------
    HookEnvironmentError
        If git fails, or says what can't be read.
    MalformedInputError
        If dsvc can't have such a path.
    """
    # All but what it deletes: whatever kinds of change there are, none slips through.
    words = ("diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-relative")
    quiet = ("--no-ext-diff", "--no-textconv", "--ignore-submodules=none", "--diff-filter=d", "--")
    parts = git.output(*words, *quiet).split(b"\0")
    if parts.pop() != b"" or len(parts) % 2:
        raise HookEnvironmentError("git diff says what can't be read")
    found = []
    for change, name in zip(parts[::2], parts[1::2], strict=True):
        said = _CHANGE.fullmatch(change)
        if said is None:
            raise HookEnvironmentError(f"git diff says what can't be read: {display_path(change[:80])}")
        path = _path(repo, git, name)
        if path is not None and said[1] in _MODES and path.rpartition(b"/")[2] not in _SETTINGS:
            check_structure(path)
            found.append(GitFile(path, said[1], said[2]))
    return found


def rules_in_git(repo: Workspace, git: GitCheckout) -> GitFile | None:
    """The ``dsvc.toml`` of git's index, None where it has none.

    Raises
    ------
    HookEnvironmentError
        If git fails.
    """
    name = os.path.relpath(os.path.join(os.path.realpath(repo.root), RULES_FILE), git.top)
    if name.startswith("../"):
        return None
    said = git.output("ls-files", "--stage", "-z", "--", f":(top,literal){name}")
    found = _LISTED.match(said)
    if found is None or found[1] not in _MODES:
        return None
    return GitFile(RULES_FILE.encode(), found[1], found[2])


def _path(repo: Workspace, git: GitCheckout, name: bytes) -> bytes | None:
    """Path of a file in the dsvc repository; None where it lies outside."""
    root = os.path.realpath(os.fsencode(repo.root))
    whole = os.path.join(os.fsencode(git.top), name)
    return whole[len(root) :].lstrip(b"/") if whole.startswith(root.rstrip(b"/") + b"/") else None


def store_git_files(repo: Workspace, git: GitCheckout, wanted: list[GitFile]) -> Iterator[Entry]:
    """Store contents of git's index and yield their entries, sorted by path; the store's lock is held.

    Raises
    ------
    HookEnvironmentError
        If git hasn't the content, or ends in the midst of it.
    """
    with (
        temporary_folder(repo.layout.temporary, "hook") as folder,
        git.talk("cat-file", "--batch") as (questions, answers),
    ):
        for file in sorted(wanted):
            try:
                questions.write(file.id + b"\n")
                questions.flush()
            except OSError as error:
                raise HookEnvironmentError(f"git cat-file ended: {error.strerror}") from error
            said = _ANSWER.fullmatch(answers.readline(200))
            if said is None:
                raise HookEnvironmentError(f"git has no content for {display_path(file.path)}")
            yield _stored(repo, folder, file, answers, int(said[1]))
            if answers.read(1) != b"\n":
                raise HookEnvironmentError("git cat-file says what can't be read")


def _stored(repo: Workspace, folder: str, file: GitFile, content: IO[bytes], size: int) -> Entry:
    mode = _MODES[file.mode]
    if size <= _IN_MEMORY_BYTES:
        data = content.read(size)
        if len(data) < size:
            raise HookEnvironmentError(f"git cat-file ended within {display_path(file.path)}")
        return entry_of_bytes(repo.store, file.path, mode, data)
    path = os.path.join(folder, "content")
    fd = files.open_new(path, mode=0o700 if mode == MODE_EXECUTABLE else 0o600)
    try:
        while size:
            part = content.read(min(size, _PART_BYTES))
            if not part:
                raise HookEnvironmentError(f"git cat-file ended within {display_path(file.path)}")
            files.write(fd, part, path)
            size -= len(part)
    finally:
        os.close(fd)
    with Beneath(folder) as tree:
        entry = store_file(repo.store, tree, b"content", at=file.path)
    files.unlink(path)
    assert entry is not None
    return entry
