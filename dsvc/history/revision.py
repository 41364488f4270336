"""Revision syntax: what a person types for a commit."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from dsvc.history.merge_base import ReadCommit
from dsvc.history.ref_name import HEADS, TAGS, is_ref_format, short_name
from dsvc.history.ref_transaction import HEAD
from dsvc.history.refs import Refs
from dsvc.model.errors import DsvcError, NotFoundError
from dsvc.model.ids import CommitId

__all__ = ["RevisionRange", "Revisions", "split_range"]

MAX_CHARACTERS: Final = 4096
_MAX_DIGITS: Final = 9
# Where git looks for a short name, in its order.
_PLACES: Final = ("{}", "refs/{}", "refs/tags/{}", "refs/heads/{}", "refs/remotes/{}", "refs/remotes/{}/HEAD")

_HEX = re.compile("[0-9a-fA-F]{4,40}")
_SUFFIX = re.compile(r"~(?P<up>[0-9]*)|\^\{(?P<kind>commit)?\}|\^(?P<parent>[0-9]*)|@\{(?P<entry>[0-9]+)\}")
_NAME_END = re.compile(r"[~^]|@\{")


class UnknownRevisionError(NotFoundError):
    """A revision names no commit."""


class RevisionRange(NamedTuple):
    """Two revisions as text: ``A..B``, or ``A...B`` where `symmetric`."""

    left: str
    right: str
    symmetric: bool


def split_range(text: str) -> RevisionRange | None:
    """Split ``A..B`` or ``A...B``; a side that is left out is HEAD; None where there is no range."""
    for dots in ("...", ".."):
        left, found, right = text.partition(dots)
        if found and text.strip("."):
            return RevisionRange(left or HEAD, right or HEAD, dots == "...")
    return None


class Revisions:
    """Resolves revisions.

    Parameters
    ----------
    refs : Refs
        Names and reflogs.
    read_commit : callable
        Reads a commit.
    expand : callable
        Lists the ids that begin with some digits.
    peel : callable or None
        Follows an annotated tag to its commit; returns other ids as they are.
    """

    def __init__(
        self,
        refs: Refs,
        read_commit: ReadCommit,
        expand: Callable[[str], list[CommitId]],
        peel: Callable[[CommitId], CommitId] | None = None,
    ) -> None:
        self._refs = refs
        self._read = read_commit
        self._expand = expand
        self._peel = peel or (lambda id_: id_)

    def resolve(self, text: str) -> CommitId:
        """Find the commit that `text` names.

        Parameters
        ----------
        text : str
            ``HEAD`` or ``@``, a branch, a tag, ``refs/…``, a full id or at least 4 digits of one, followed by
            any of ``~N``, ``^N``, ``@{N}``; ``@{N}`` alone is the reflog of the current branch.

        Raises
        ------
        NotFoundError
            If it names nothing, or more than one commit; the hint says what is close.
        MissingDataError, CorruptDataError, MalformedInputError
            If a ref or a commit on the way is damaged.
        """
        if not text or len(text) > MAX_CHARACTERS:
            raise UnknownRevisionError(f"{text[:80]!r} is not a revision")
        end = _NAME_END.search(text)
        at = end.start() if end else len(text)
        name = text[:at]
        commit = None if text.startswith("@{", at) else self._name(name, text)
        while at < len(text):
            found = _SUFFIX.match(text, at)
            if found is None:
                raise UnknownRevisionError(
                    f"{text!r} is not a revision: {text[at:]!r} is not understood",
                    hint="after a name come ~N, ^N or @{N}",
                )
            if found["entry"] is not None:
                if commit is not None:
                    raise UnknownRevisionError(f"{text!r} is not a revision: @{{N}} follows a name")
                commit = self._entry(name, _number(found["entry"], text), text)
            else:
                assert commit is not None, "where nothing is named an entry comes first"
                commit = self._step(commit, found, text)
            at = found.end()
        assert commit is not None
        return commit

    def _step(self, commit: CommitId, suffix: re.Match[str], text: str) -> CommitId:
        if suffix["up"] is not None:
            return self._up(commit, _number(suffix["up"], text), text)
        if suffix["parent"] is not None:
            return self._parent(commit, _number(suffix["parent"], text), text)
        return commit

    def _up(self, commit: CommitId, count: int, text: str) -> CommitId:
        for done in range(count):
            parents = self._read(commit).parents
            if not parents:
                raise UnknownRevisionError(
                    f"there is no {text!r}: history ends {done} commits up, at {commit[:12]}"
                )
            commit = parents[0]
        return commit

    def _parent(self, commit: CommitId, number: int, text: str) -> CommitId:
        if number == 0:
            return commit
        parents = self._read(commit).parents
        if number > len(parents):
            raise UnknownRevisionError(f"there is no {text!r}: {commit[:12]} has {len(parents)} parents")
        return parents[number - 1]

    def _ref(self, name: str) -> str | None:
        """Full name of the ref that a short name means."""
        for place in _PLACES:
            ref = place.format(name)
            if is_ref_format(ref) and self._refs.get(ref) is not None:
                return ref
        return None

    def _name(self, name: str, text: str) -> CommitId:
        if name in (HEAD, "@"):
            head = self._refs.head()
            if head.commit is None:
                raise UnknownRevisionError(
                    f"{name} has no commit yet", hint="make one: dsvc add -A, then dsvc commit -m MESSAGE"
                )
            return head.commit
        if _HEX.fullmatch(name) and len(name) == 40:
            return self._prefix(name.lower(), text)
        ref = self._ref(name) if name else None
        value = None if ref is None else self._refs.get(ref)
        if value is not None:
            return self._peel(value)
        if _HEX.fullmatch(name):
            return self._prefix(name.lower(), text)
        raise UnknownRevisionError(f"there is no revision {name!r}", hint=self._close_to(name))

    def _prefix(self, digits: str, text: str) -> CommitId:
        found: dict[CommitId, None] = {}
        for candidate in self._expand(digits):
            try:
                found[self._read(self._peel(candidate)).id] = None
            except DsvcError:
                # A tree or a blob; or one that is damaged, which only its full id may still name.
                if len(digits) == 40:
                    raise
        if not found:
            raise UnknownRevisionError(f"there is no commit {digits!r}", hint=self._close_to(text))
        if len(found) > 1:
            several = [f"{one} {self._read(one).message.partition(chr(10))[0][:60]}" for one in sorted(found)]
            raise UnknownRevisionError(
                f"{digits!r} is ambiguous: it begins {len(found)} commits",
                hint="give more digits:\n" + "\n".join(several),
                details={"candidates": sorted(found)},
            )
        return next(iter(found))

    def _entry(self, name: str, number: int, text: str) -> CommitId:
        """Value of a ref `number` moves ago; without a name, of the current branch."""
        ref: str | None
        if not name:
            ref = self._refs.head_as_is().branch or HEAD
        else:
            ref = HEAD if name in (HEAD, "@") else self._ref(name)
        if ref is None:
            raise UnknownRevisionError(f"there is no ref {name!r}", hint=self._close_to(name))
        value = self._refs.get(ref) if number == 0 else None
        if value is None:
            entries = self._refs.reflog(ref, number + 1)
            if number < len(entries):
                value = entries[number].new
            elif entries and number == len(entries):
                value = entries[-1].old
            if value is None:
                raise UnknownRevisionError(
                    f"there is no {text!r}: the reflog of {short_name(ref)} has {len(entries)} entries",
                    hint="dsvc reflog lists them",
                )
        return self._peel(value)

    def _close_to(self, name: str) -> str | None:
        from difflib import get_close_matches

        names = [short_name(ref) for prefix in (HEADS, TAGS) for ref in self._refs.list(prefix)]
        close = get_close_matches(name[:200], names, n=3, cutoff=0.6)
        if close:
            return "did you mean " + " or ".join(close) + "?"
        return "dsvc log, dsvc branch and dsvc tag list what there is"


def _number(digits: str, text: str) -> int:
    if len(digits) > _MAX_DIGITS:
        raise UnknownRevisionError(f"{text[:80]!r} is not a revision: a number is too large")
    return int(digits) if digits else 1
