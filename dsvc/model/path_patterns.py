"""Patterns of paths with gitignore syntax, matched in linear time whatever somebody wrote into them.

pathspec makes regular expressions of patterns in which each ``*`` and each ``**`` may be tried at every
place: ``a*a*a*a*a*b`` takes ten seconds for one name. Here what stands between two stars is looked for from
the left and then fixed (atomic groups): where the rest matches after a later place, it matches after the
first one too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from pathspec import GitIgnoreSpec
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

MAX_PATTERN: Final = 4096
"""Characters of one pattern."""
MAX_PATTERNS: Final = 10_000
_LEADING: Final = "^(?:.+/)?"
_INNER: Final = "(?:/.+)?"
_ENDS: Final = "(?=/|$)"


_translate = GitIgnoreSpecPattern._translate_segment_glob  # noqa: SLF001  what is overridden below


class PatternError(ValueError):
    """A pattern can't be read; whoever knows where it stands makes a typed error of this."""


def path_patterns(lines: Iterable[str], *, strict: bool = True) -> GitIgnoreSpec:
    """Read patterns, one a line.

    Parameters
    ----------
    strict : bool
        Whether one that can't be read is an error; else it matches nothing, as in git.

    Raises
    ------
    PatternError
        If one can't be read (`strict`), or there are too many.
    """
    found = []
    for number, line in enumerate(lines):
        if number >= MAX_PATTERNS:
            raise PatternError(f"there are more than {MAX_PATTERNS} patterns")
        try:
            found.append(_pattern(line))
        except PatternError:
            if strict:
                raise
    # Other backends read regular expressions of another kind.
    return GitIgnoreSpec(found, backend="simple")


def _pattern(line: str) -> GitIgnoreSpecPattern:
    if len(line) > MAX_PATTERN:
        raise PatternError(f"a pattern has more than {MAX_PATTERN} characters")
    try:
        return _LinearPattern(line)
    except (ValueError, re.error, OverflowError, RecursionError) as error:
        raise PatternError(f"invalid pattern {line!r}: {error}") from error


class _LinearPattern(GitIgnoreSpecPattern):
    """A pattern whose regular expression never tries a star twice."""

    __slots__ = ()

    @staticmethod
    def _translate_segment_glob(pattern: str, range_error: Literal["literal", "raise"]) -> str:
        """Translate what stands between two slashes."""
        first, *others = _between_stars(pattern, range_error)
        if not others:
            return first
        *middle, last = others
        found = "".join(f"(?>[^/]*?{part})" for part in middle if part)
        # The last one stands at the end of the segment, where there is one place for it.
        return f"(?>{first}{found}[^/]*{last}{_ENDS})"

    @classmethod
    def pattern_to_regex(cls, pattern: str) -> tuple[str | None, bool | None]:  # type: ignore[override]
        """Translate a pattern; of several ``**`` all but the last are settled from the left."""
        regex, include = super().pattern_to_regex(pattern)
        if regex is None:
            return None, include
        leading = regex.startswith(_LEADING)
        first, *others = regex.removeprefix(_LEADING).removeprefix("^").split(_INNER)
        if leading + len(others) < 2:
            return regex, include
        found = f"^(?>(?:[^/]+/)*?{first}{_ENDS})" if leading else f"^{first}"
        *middle, last = others
        found += "".join(f"(?>(?:/[^/]+)*?{part}{_ENDS})" for part in middle)
        return f"{found}(?:/[^/]+)*{last}", include


def _between_stars(pattern: str, range_error: Literal["literal", "raise"]) -> list[str]:
    """Regular expressions of what stands before, between and behind the stars of a segment."""
    parts = [""]
    for piece in _pieces(pattern):
        if piece == "*":
            parts.append("")
            continue
        translated = _translate(piece, range_error)
        # No class takes a slash, whatever it leaves out.
        parts[-1] += f"(?!/){translated}" if piece.startswith("[") else translated
    return parts


def _pieces(pattern: str) -> Iterator[str]:
    """Take a segment apart: a star, a class in brackets, an escaped sign, any other sign."""
    at = 0
    while at < len(pattern):
        end = at + 1
        if pattern[at] == "\\":
            end = min(at + 2, len(pattern))
        elif pattern[at] == "[":
            body = at + 1 + (pattern[at + 1 : at + 2] in ("!", "^"))
            close = pattern.find("]", body + 1)
            # Without an end it is an error, which the translation raises.
            end = len(pattern) if close < 0 else close + 1
        yield pattern[at:end]
        at = end


__all__ = ["MAX_PATTERN", "MAX_PATTERNS", "PatternError", "path_patterns"]
