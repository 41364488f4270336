"""The moment as of which a version is judged: now, or one in the past, whose verdict is made again."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from dsvc.model.errors import UsageError

if TYPE_CHECKING:
    from dsvc.model.ids import CommitId
    from dsvc.porcelain.state.workspace import Workspace

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME: Final = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})?", re.ASCII)


class MomentError(UsageError):
    """That is no date and no time."""

    code = "moment"


class Moment(NamedTuple):
    """When.

    Attributes
    ----------
    day : str
        ``YYYY-MM-DD``, UTC.
    seconds : int or None
        Seconds since 1970, what was recorded later is not known yet; None: now, all is known.
    known : frozenset of CommitId or None
        Where refs were then, to tell apart what was recorded in one second; None: nobody noted it.
    """

    day: str
    seconds: int | None = None
    known: frozenset[CommitId] | None = None


def now() -> Moment:
    """The moment of the clock."""
    return Moment(time.strftime("%Y-%m-%d", time.gmtime()))


def parse_moment(text: str | None) -> Moment:
    """Read a date, meaning its end, or a time of RFC 3339; None: now.

    Raises
    ------
    MomentError
        If it is neither.
    """
    if text is None:
        return now()
    try:
        if _DAY.fullmatch(text):
            start = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
            return Moment(text, int(start.timestamp()) + 86_399)
        if not _TIME.fullmatch(text):
            raise ValueError(text)
        found = datetime.fromisoformat(text.upper())
        at = found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise MomentError(_message(text), hint="as in 2026-11-22 or 2026-11-22T12:00:00Z") from error
    if found.tzinfo is None:
        raise MomentError(f"{text[:40]!r} has no zone", hint="as in 2026-11-22T12:00:00Z")
    # Years before 1000 too with four digits: days are compared as texts.
    return Moment(at.date().isoformat(), int(at.timestamp()))


def _message(text: str) -> str:
    return f"{text[:40]!r} is neither a date nor a time"


def as_of(repo: Workspace, tip: CommitId | None, moment: Moment | None) -> CommitId | None:
    """Newest commit of a chain or a branch that was there at a moment; None where none was.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If a commit can't be read.
    """
    if tip is None or moment is None or moment.seconds is None:
        return tip
    seconds, known = moment.seconds, moment.known
    if known is not None:
        return next((each.id for each in repo.history.log([tip]) if each.id in known), None)
    return next((each.id for each in repo.history.log([tip]) if each.committer.seconds <= seconds), None)
