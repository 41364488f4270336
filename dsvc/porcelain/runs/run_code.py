"""With which code a run was made: files that its command names, commit and changes of the checkout around."""

from __future__ import annotations

import os
import shlex
import stat as stat_module
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import blake3

from dsvc.fs.beneath import Beneath, NotAFolderError
from dsvc.model.encoding import encode
from dsvc.model.errors import DsvcError, MalformedInputError
from dsvc.model.manifest import MODE_EXECUTABLE, MODE_FILE, Entry
from dsvc.model.paths import check_structure, is_within
from dsvc.model.run_record import Code, CodeFile
from dsvc.porcelain.state.program import find_program
from dsvc.porcelain.state.quiet_git import QUIET, SETTINGS
from dsvc.porcelain.state.redaction import redacted_words
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.file_entry import entry_of_bytes
from dsvc.store.ingest import read_stable

MAX_PATCH_BYTES: Final = 16 << 20
MAX_CODE_BYTES: Final = 16 << 20
"""A larger file that a command names is no code."""
GIT_SECONDS: Final = 30
_DOMAIN: Final = "dsvc v1 code of a run"
_SHELL_SIGNS: Final = frozenset(" \t\n|&;<>()$`\\\"'*?[]#~%{}")


class CodeFileBytes(NamedTuple):
    """A code file as it was when the run began."""

    path: bytes
    mode: int
    data: bytes


class CodeState(NamedTuple):
    """With which code a run is made.

    Attributes
    ----------
    code : Code
        For the record.
    files : tuple of CodeFileBytes
        Its files.
    patch : bytes or None
        Changes of the checkout.
    """

    code: Code
    files: tuple[CodeFileBytes, ...] = ()
    patch: bytes | None = None


NO_CODE: Final = CodeState(Code())


def command_words(command: Sequence[str]) -> list[str]:
    """Words that are executed: one word with blanks or signs of the shell is a line for ``sh``."""
    if len(command) == 1 and _SHELL_SIGNS & set(command[0]):
        return ["/bin/sh", "-c", command[0]]
    return list(command)


def code_state(
    repo: Workspace,
    command: Sequence[str],
    *,
    folder: bytes = b"",
    data: Collection[bytes] = (),
    environ: Mapping[str, str] | None = None,
    files: Collection[bytes] = (),
    source: bytes = b"",
) -> CodeState:
    """Find out with which code a command is about to run.

    Parameters
    ----------
    command : sequence of str
        Its words.
    folder : bytes
        Where it runs, relative to the working tree.
    data : collection of bytes
        What it reads and makes: no code, whoever names it.
    environ : mapping of str to str or None
        Environment, for finding git.
    files : collection of bytes
        Further code files, relative to the working tree.
    source : bytes
        Further code that is in no file.
    """
    found: dict[bytes, CodeFileBytes] = {}
    with Beneath(repo.root) as tree:
        for path in [*files, *_named(repo, command, folder)]:
            if path not in found and not is_within(path, filter(None, data)):
                read = _read(tree, path)
                if read is not None:
                    found[path] = read
    commit, dirty, patch = _checkout(repo.root, environ or {})
    kept = tuple(found[path] for path in sorted(found))
    names = tuple(CodeFile(each.path, blake3.blake3(each.data).digest()) for each in kept)
    digest = code_digest(redacted_words(command), names, commit, patch, source)
    return CodeState(Code(commit=commit, dirty=dirty, files=names, digest=digest), kept, patch)


def code_digest(
    command: Sequence[str],
    files: Sequence[CodeFile],
    commit: str | None,
    patch: bytes | None,
    source: bytes = b"",
) -> bytes:
    """Digest of the code of a run: equal for the same code.

    Parameters
    ----------
    command : sequence of str
        Its words, secrets taken out.
    files : sequence of CodeFile
        By path.
    commit, patch : str or None, bytes or None
        Commit and changes of the checkout around it.
    source : bytes
        Code that is in no file.
    """
    hasher = blake3.blake3(derive_key_context=_DOMAIN)
    patch_digest = None if patch is None else blake3.blake3(patch).digest()
    parts = [[each.path, each.digest] for each in files]
    hasher.update(encode([list(command), parts, commit, patch_digest, source]))
    return hasher.digest()


def store_code(repo: Workspace, state: CodeState) -> list[Entry]:
    """Store the code files; returns their entries."""
    return [entry_of_bytes(repo.store, each.path, each.mode, each.data) for each in state.files]


def _named(repo: Workspace, command: Sequence[str], folder: bytes) -> Iterator[bytes]:
    """Paths of the working tree that words of a command may name."""
    words = list(command)
    if len(words) == 1:
        try:
            words = shlex.split(words[0])
        except ValueError:
            words = words[0].split()
    root = os.path.realpath(os.fsencode(repo.root))
    for word in words:
        for part in dict.fromkeys((word, word.partition("=")[2])):
            if not part or "\0" in part:
                continue
            whole = os.path.join(root, folder, os.fsencode(part))
            path = os.path.relpath(os.path.normpath(whole), root)
            if path.startswith(b"../") or path in (b".", b".."):
                continue
            try:
                check_structure(path)
            except MalformedInputError:
                continue
            yield path


def _read(tree: Beneath, path: bytes) -> CodeFileBytes | None:
    try:
        at, name = tree.split(path)
        stat = os.stat(name, dir_fd=at, follow_symlinks=False)
        if not stat_module.S_ISREG(stat.st_mode) or stat.st_size > MAX_CODE_BYTES:
            return None
        data, seen = read_stable(name, at)
    except (OSError, NotAFolderError, DsvcError):
        return None  # what can't be read can't be what runs
    return CodeFileBytes(path, MODE_EXECUTABLE if seen.mode & 0o100 else MODE_FILE, data)


def _checkout(root: str, environ: Mapping[str, str]) -> tuple[str | None, bool, bytes | None]:
    """Commit of the git checkout around a folder, whether it has changes, and which; none without one."""
    top = os.path.realpath(root)
    while not os.path.exists(os.path.join(top, ".git")):
        parent = os.path.dirname(top)
        if parent == top:
            return None, False, None
        top = parent
    git = find_program("git", environ)
    commit = None if git is None else _git(git, top, environ, "rev-parse", "--verify", "-q", "HEAD")
    if git is None or commit is None:
        return None, False, None
    excluded = [":(exclude,glob)**/.dsvc/**", ":(exclude).dsvc"]
    patch = _git(
        git,
        top,
        environ,
        *_without_filters(_git(git, top, environ, "config", "--list", "--name-only", "-z") or b""),
        *("diff", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=all"),
        *("HEAD", "--", ".", *excluded),
    )
    # Changes that are too many to keep are changes all the same.
    return commit.decode("ascii", "replace").strip(), patch != b"", patch or None


def _without_filters(settings: bytes) -> Iterator[str]:
    """Options that switch off the filters which a checkout's settings name: they are commands."""
    found = {name[: name.rindex(b".")] for name in settings.split(b"\0") if name.startswith(b"filter.")}
    for driver in sorted(os.fsdecode(name) for name in found if b"=" not in name):
        for option in ("clean=", "smudge=", "process=", "required=false"):
            yield from ("-c", f"{driver}.{option}")


def _git(git: str, top: str, environ: Mapping[str, str], *words: str) -> bytes | None:
    """Output of git, None where it fails, takes too long or says too much."""
    kept = {name: environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in environ}
    try:
        with subprocess.Popen(
            [git, "-C", top, *QUIET, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**kept, **SETTINGS},
        ) as process:
            assert process.stdout is not None
            try:
                data = process.stdout.read(MAX_PATCH_BYTES + 1)
                if len(data) > MAX_PATCH_BYTES:
                    process.kill()
                    return None
                return data if process.wait(GIT_SECONDS) == 0 else None
            except (OSError, subprocess.TimeoutExpired):
                process.kill()
                return None
    except OSError:
        return None
