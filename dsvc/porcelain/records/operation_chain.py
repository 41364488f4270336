"""Chains of operations: ``refs/dsvc/KIND/ID``, one commit for each operation on something that is recorded.

Such a commit is an ordinary one whose manifest is the state then. So what is true of commits is true of it:
the ref moves by compare-and-swap, `undo` takes an operation back, gc keeps it and fsck checks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from dsvc.history.commit_codec import Commit
from dsvc.history.history import Prepared
from dsvc.history.ref_name import check_ref_name
from dsvc.history.refs import RefChange
from dsvc.lineage.source_tree import store_part
from dsvc.model.errors import CorruptDataError, MalformedInputError, NotFoundError
from dsvc.model.ids import CommitId
from dsvc.model.manifest import Entry
from dsvc.porcelain.state.workspace import Workspace
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest
from dsvc.store.materialize import read_content

MAX_PART_BYTES: Final = 256 << 20
"""Of a record, an operation, a set of rows."""


class Chains(NamedTuple):
    """All chains of one kind; what their states hold is known to the module of that kind.

    Attributes
    ----------
    prefix : str
        ``refs/dsvc/KIND/``.
    what : str
        What one of them is called, ``source``.
    check_id : callable
        Gives an id back, or raises where it is none.
    absent : type of NotFoundError
        Raised where there is none of an id.
    listing : str
        The command that shows those that there are.
    guesses : bool
        Whether that error names ids that look like the one that was asked for.
    """

    prefix: str
    what: str
    check_id: Callable[[str], str]
    absent: type[NotFoundError]
    listing: str
    guesses: bool = False

    def ref(self, id_: str) -> str:
        """Full name of a chain's ref; raises what `check_id` does, and MalformedInputError."""
        ref = self.prefix + self.check_id(id_)
        check_ref_name(ref)
        return ref

    def ids(self, repo: Workspace) -> list[str]:
        """Ids of all chains, in order; also of what only lies where they lie."""
        return sorted(name.removeprefix(self.prefix) for name in repo.history.refs.list(self.prefix))

    def tip(self, repo: Workspace, id_: str) -> CommitId | None:
        """Newest commit of a chain, None where there is no such chain; raises as `ref`."""
        return repo.history.refs.get(self.ref(id_))

    def head(self, repo: Workspace, id_: str) -> CommitId:
        """Newest commit of a chain.

        Raises
        ------
        NotFoundError
            Of the class `absent`, if there is no such chain.
        """
        tip = self.tip(repo, id_)
        if tip is None:
            raise self.missing(repo, id_)
        return tip

    def missing(self, repo: Workspace, id_: str) -> NotFoundError:
        """Make the error for an id of which there is no chain."""
        shown = id_[:200]
        close: list[str] = []
        if self.guesses:
            from difflib import get_close_matches

            close = get_close_matches(id_, self.ids(repo), 3, 0.6)
        hint = f"did you mean {' or '.join(close)}?" if close else self.known_from
        return self.absent(f"there is no {self.what} {shown}", hint=hint, details={self.what: shown})

    def find(self, repo: Workspace, text: str) -> str:
        """Find the id that is a text, or the only one that begins with it; at least 4 digits.

        Raises
        ------
        NotFoundError
            Of the class `absent`, if there is none, or more than one.
        """
        found = [id_ for id_ in self.ids(repo) if id_.startswith(text)]
        if text in found:
            return text
        if len(found) != 1 or len(text.rpartition("-")[2]) < 4:
            several = f"; {len(found)} begin like this" if len(found) > 1 else ""
            raise self.absent(f"there is no {self.what} {text[:80]!r}{several}", hint=self.known_from)
        return found[0]

    @property
    def known_from(self) -> str:
        """The hint that says where the ids are shown."""
        return f"{self.listing} shows those that there are"

    def steps(self, repo: Workspace, id_: str) -> Iterator[Commit]:
        """Commits of a chain, newest first; raises as `head`, and as reading a commit does."""
        return repo.history.log([self.head(repo, id_)])

    def part(self, repo: Workspace, manifest: Manifest, path: bytes, *, limit: int = MAX_PART_BYTES) -> bytes:
        """Content of a file that a state has.

        Parameters
        ----------
        limit : int
            How many bytes it may have.

        Raises
        ------
        CorruptDataError
            If it isn't there, or damaged.
        MalformedInputError
            If it is longer than any such part: of one that was forged only its entry is read.
        """
        entry = manifest.get(path)
        if entry is None or not entry.is_file:
            raise CorruptDataError(f"a {self.what} has no {path.decode(errors='backslashreplace')}")
        if entry.size > limit:
            shown = path[:80].decode(errors="backslashreplace")
            raise MalformedInputError(f"a {self.what}: {shown} is too long")
        return read_content(repo.store, entry)

    def title(self, verb: str, id_: str, reason: str | None) -> str:
        """First line of the message of an operation's commit."""
        return f"{self.what} {verb} {id_}" + (f": {reason}" if reason else "")

    def append(
        self,
        repo: Workspace,
        id_: str,
        prepared: Prepared,
        before: CommitId | None,
        *,
        verb: str,
        arguments: Sequence[str] = (),
    ) -> None:
        """Publish what was stored and move the ref; the caller holds `repo.changing()`.

        Parameters
        ----------
        before : CommitId or None
            Where the ref is now; None for a new chain.
        verb : str
            What the operation log calls it.
        arguments : sequence of str
            What the log says beside the id.

        Raises
        ------
        ConcurrentChangeError
            If the ref isn't there any more; nothing was recorded.
        """
        change = RefChange(self.ref(id_), before, prepared.id)
        repo.store.publish()
        repo.record(verb, arguments=[id_, *arguments], changes=[change], objects=prepared.objects)


def store_parts(repo: Workspace, parts: Mapping[bytes, bytes], others: Iterable[Entry] = ()) -> Manifest:
    """Store the files of a state; gives its manifest, which is not published yet.

    Parameters
    ----------
    parts : mapping of bytes to bytes
        Contents by path.
    others : iterable of Entry
        What is stored already and belongs to the state too.
    """
    entries = {
        path: msgspec.structs.replace(store_part(repo.store, data), path=path) for path, data in parts.items()
    }
    entries |= {entry.path: entry for entry in others}
    return repo.manifest(repo.manifest(EMPTY_ROOT).update(sorted(entries.items())))


def prepare_operation(
    repo: Workspace, manifest: Manifest, parents: Sequence[CommitId], message: str
) -> Prepared:
    """Prepare the commit of an operation; nothing is published, and no ref moved.

    Parameters
    ----------
    manifest : Manifest
        The state after it.
    parents : sequence of CommitId
        The states that it follows; none for a new chain.
    """
    files, size = manifest.totals()
    who = repo.signature()
    return repo.history.commit(
        parents=parents,
        manifest=manifest.root,
        files=files,
        bytes=size,
        message=message,
        author=who,
        committer=who,
    )
