"""Options that take ``NAME=VALUE`` or names of columns, as the library reads them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from dsvc.cli.arguments.paths import tree_path
from dsvc.cli.language.i18n import _
from dsvc.model.errors import UsageError

_ESCAPED = re.compile("%(23|3[Aa]|25)")


def pairs(option: str, words: Iterable[str]) -> dict[str, str]:
    """Return the values of ``--option NAME=VALUE`` by name.

    Raises
    ------
    UsageError
        If a word is no such pair, or a name is given twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise UsageError(
                _("{option} takes NAME=VALUE, not '{word}'").format(option=option, word=word[:80])
            )
        if name in found:
            raise UsageError(_("{option} names {name} twice").format(option=option, name=name))
        found[name] = value
    return found


def keys(words: Iterable[str], root: str) -> dict[bytes | None, tuple[str, ...]]:
    """Return the columns of ``--key [PATH:]COL[,COL]`` by path; None is every table that has them.

    ``%3A``, ``%23`` and ``%25`` stand for ``:``, ``#`` and ``%``.

    Raises
    ------
    UsageError
        If a word names no column, or a path outside the working tree.
    """
    found: dict[bytes | None, tuple[str, ...]] = {}
    for word in words:
        path, colon, columns = word.rpartition(":")
        names = tuple(_unescape(name) for name in columns.split(",") if name)
        if not names or (colon and not path):
            raise UsageError(_("--key takes [PATH:]COLUMN[,COLUMN], not '{word}'").format(word=word[:80]))
        where = tree_path(_unescape(path), root) if colon else None
        found[where] = (*found.get(where, ()), *names)
    return found


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: {"23": "#", "25": "%"}.get(found[1], ":"), text)


def key_columns(words: Sequence[str]) -> list[str] | None:
    """Return the columns of ``--key A,B --key C``; None where none was given.

    Raises
    ------
    UsageError
        If a word names no column.
    """
    if not words:
        return None
    names = [name for word in words for name in word.split(",") if name]
    if not names:
        raise UsageError(_("--key needs the name of a column"))
    return names
