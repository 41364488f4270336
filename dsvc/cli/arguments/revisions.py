"""Words that are revisions or paths: git's rules."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from dsvc.cli.language.i18n import _
from dsvc.cli.writing.names import show_text
from dsvc.model.errors import DsvcError, NotFoundError, UsageError

if TYPE_CHECKING:
    from dsvc.porcelain.repository import Repository

STATES: Final = frozenset({"WORKTREE", "STAGED"})


def is_revision(repo: Repository, word: str) -> bool:
    """Whether `word` names a commit, ``WORKTREE`` or ``STAGED``, or is a range of them."""
    if word in STATES:
        return True
    if ".." in word:
        left, _dots, right = word.partition("...") if "..." in word else word.partition("..")
        return all(is_revision(repo, side) for side in (left or "HEAD", right or "HEAD"))
    try:
        next(iter(repo.log(word, limit=1)), None)
    except (NotFoundError, UsageError):
        return False
    return True


def is_path(word: str) -> bool:
    """Whether `word` is a file or folder here."""
    return os.path.lexists(os.fsencode(word))


def split_words(
    repo: Repository, words: tuple[str, ...], after: list[str] | None, *, at_most: int
) -> tuple[list[str], list[str]]:
    """Tell revisions from paths.

    Before ``--`` stand revisions, after it paths. Without ``--`` the words up to the first that is no
    revision are revisions; one that is a file as well is an error, and what follows must be files.

    Parameters
    ----------
    at_most : int
        How many revisions the verb takes.

    Raises
    ------
    UsageError
        If a word is both, or there are too many revisions.
    NotFoundError
        If a word is neither.
    """
    if after is not None:
        if len(words) > at_most:
            raise _too_many(at_most)
        return list(words), after
    revisions: list[str] = []
    for index, word in enumerate(words):
        if not is_revision(repo, word):
            paths = list(words[index:])
            for path in paths:
                _check_path(path)
            return revisions, paths
        if is_path(word) and word not in STATES:
            raise UsageError(
                _("'{word}' is both a revision and a file").format(word=show_text(word)),
                hint=_("put -- before the paths, or after the revisions"),
            )
        if len(revisions) == at_most:
            raise _too_many(at_most)
        revisions.append(word)
    return revisions, []


def _too_many(at_most: int) -> DsvcError:
    return UsageError(
        _("too many revisions; at most {n} can be given").format(n=at_most),
        hint=_("put -- before the paths"),
    )


def _check_path(word: str) -> None:
    if not is_path(word) and not any(sign in word for sign in "*?["):
        raise NotFoundError(
            _("'{word}' is neither a revision nor a file here").format(word=show_text(word)),
            hint=_("for a path that is gone, put -- before it; for revisions: dsvc log --all, dsvc branch"),
        )
