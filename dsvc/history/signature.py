"""Who did something, and when: the author and committer lines of git."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, Self

import msgspec

from dsvc.model.errors import MalformedInputError

MAX_SECONDS: Final = 1 << 53
MAX_OFFSET_MINUTES: Final = 14 * 60
MAX_NAME_BYTES: Final = 1024

_LINE = re.compile(rb"([^<>\n\0]*) <([^<>\n\0]*)> (0|[1-9][0-9]{0,15}) ([+-])([0-9]{2})([0-5][0-9])")
_FORBIDDEN = re.compile("[<>\x00-\x1f\x7f]")
_CYCLE_YEARS, _CYCLE_SECONDS = 400, 146_097 * 86_400


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A person and a moment.

    Attributes
    ----------
    name, email : str
        Text without control characters, ``<`` and ``>``; may be empty.
    seconds : int
        Seconds since 1970-01-01T00:00:00Z, 0 to 2^53.
    offset_minutes : int
        The person's offset from UTC, at most 14 hours either way.

    Raises
    ------
    MalformedInputError
        When made with anything else: such a line could not be read back, or would forge another header.
    """

    name: str
    email: str
    seconds: int
    offset_minutes: int = 0

    def __post_init__(self) -> None:
        for what, text in (("name", self.name), ("email", self.email)):
            if _FORBIDDEN.search(text):
                raise MalformedInputError(f"{what} {text[:80]!r} has a control character, '<' or '>'")
            try:
                size = len(text.encode("utf-8"))
            except UnicodeEncodeError as error:
                raise MalformedInputError(f"{what} {text[:80]!r} is not text") from error
            if size > MAX_NAME_BYTES:
                raise MalformedInputError(f"{what} of {size} bytes; at most {MAX_NAME_BYTES} are allowed")
        if not 0 <= self.seconds <= MAX_SECONDS:
            raise MalformedInputError(f"a date {self.seconds} s after 1970 is out of range")
        if abs(self.offset_minutes) > MAX_OFFSET_MINUTES:
            raise MalformedInputError(f"a time zone {self.offset_minutes} minutes off UTC is out of range")

    def encode(self) -> bytes:
        """Write as git does: ``name <email> seconds +hhmm``."""
        hours, minutes = divmod(abs(self.offset_minutes), 60)
        sign = "-" if self.offset_minutes < 0 else "+"
        return f"{self.name} <{self.email}> {self.seconds} {sign}{hours:02}{minutes:02}".encode()

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read what git wrote; a name that is not UTF-8 is read with replacement.

        Raises
        ------
        MalformedInputError
            If `line` has another form, or a date or zone out of range.
        """
        found = _LINE.fullmatch(line)
        if not found:
            raise MalformedInputError(f"malformed author or committer {line[:200]!r}")
        name, email, seconds, sign, hours, minutes = found.groups()
        offset = int(hours) * 60 + int(minutes)
        return cls(
            # Other tools keep control characters in names; they are data here, but never reach a terminal.
            name=_FORBIDDEN.sub("\ufffd", name.decode("utf-8", "replace")),
            email=_FORBIDDEN.sub("\ufffd", email.decode("utf-8", "replace")),
            seconds=int(seconds),
            offset_minutes=-offset if sign == b"-" else offset,
        )

    def rfc3339(self) -> str:
        """Format the moment in UTC, ``2026-11-21T22:00:00Z``; years beyond 9999 get more digits."""
        # datetime ends at 9999; the calendar repeats every 400 years.
        cycles = max(0, (self.seconds - 250_000_000_000) // _CYCLE_SECONDS + 1)
        moment = datetime.fromtimestamp(self.seconds - cycles * _CYCLE_SECONDS, UTC)
        return f"{moment.year + cycles * _CYCLE_YEARS:04}{moment.strftime('-%m-%dT%H:%M:%SZ')}"
