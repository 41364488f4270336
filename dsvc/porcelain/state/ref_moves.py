"""What branches and tags share: the lock they move under, and the errors of names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from dsvc.fs import locks
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.porcelain.state.workspace import Workspace


class RefExistsError(UsageError):
    """A branch or tag of this name exists already."""

    code = "ref-exists"


class CurrentBranchError(UsageError):
    """HEAD stands on this branch, so it can be neither moved by name nor deleted."""

    code = "current-branch"


class UnmergedBranchError(UsageError):
    """A branch holds commits that HEAD doesn't, so deleting it must be forced (git exits 1 here)."""

    code = "unmerged-branch"


@contextmanager
def moving_refs(repo: Workspace) -> Iterator[None]:
    """Keep gc away while a ref is made or moved.

    The commit that it comes to stand on may be one that gc is about to collect. The work lock isn't taken:
    refs move by compare-and-swap, and a long `add` needn't hold up a branch.

    Raises
    ------
    LockedError
        If gc holds the store too long.
    """
    with locks.hold(repo.layout.lock("store"), what="store", shared=True, timeout=repo.lock_timeout):
        yield


def unknown_ref(what: str, name: str, names: Iterable[str]) -> NotFoundError:
    """Make the error for a name that isn't there; the hint says what is close."""
    from difflib import get_close_matches

    close = get_close_matches(name[:200], list(names), n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(close)}?" if close else f"dsvc {what} lists what there is"
    return NotFoundError(f"there is no {what} {name[:200]!r}", hint=hint, details={"name": name[:200]})
