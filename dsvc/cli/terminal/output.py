"""Standard output and standard error: lines for people, JSON for programs."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, Literal

from dsvc.cli.environment.settings import Settings
from dsvc.cli.language.i18n import _

Style = Literal[
    "bold", "dim", "red", "green", "yellow", "blue", "cyan", "heading", "id", "error", "warning", "hint",
    "added", "removed", "hunk", "ref", "head", "tag",
]  # fmt: skip
"""Names of styles: colours, and what something is."""

_STYLES: Final[dict[Style, str]] = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "cyan": "36",
    "heading": "1",
    "id": "33",
    "error": "1;31",
    "warning": "1;33",
    "hint": "36",
    "added": "32",
    "removed": "31",
    "hunk": "36",
    "ref": "1;32",
    "head": "1;36",
    "tag": "1;33",
}

# Control characters of eight bits, which JSON lets pass, and marks that turn the direction of what follows.
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def open_streams() -> None:
    """Open standard streams that are closed, to nowhere, so that no other file takes their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def force_utf8() -> None:
    """Make both streams write UTF-8 whatever the locale; what can't be encoded is escaped."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]


def encode_json(value: object) -> str:
    """Return one line of JSON; what commands or misleads a terminal is escaped, which changes no value.

    Numbers that JSON lacks are text, as in cells of tables: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``.
    """
    try:
        text = _dumped(value)
    except ValueError:
        from dsvc.table.exchange.json_value import json_cell

        text = _dumped(json_cell(value))
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _dumped(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))


class Output:
    """Where a verb says what it did.

    Parameters
    ----------
    settings : Settings
        The options; read when something is written, since they may follow the verb.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.configured_color: str | None = None
        self._color: bool | None = None

    @property
    def color(self) -> bool:
        """Whether standard output has colours; decided once, before a pager takes it over."""
        if self._color is None:
            self._color = self._settings.wants_color(sys.stdout, self.configured_color)
        return self._color

    def style(self, text: str, name: Style) -> str:
        """Colour `text` for standard output."""
        return f"\033[{_STYLES[name]}m{text}\033[0m" if text and self.color else text

    def line(self, text: str = "") -> None:
        """Write a line for people; with ``--json`` or ``--quiet`` nothing."""
        if not (self._settings.as_json or self._settings.quiet):
            sys.stdout.write(text + "\n")

    def answer(self, text: str = "") -> None:
        """Write a line that was asked for: ``--quiet`` doesn't silence it, ``--json`` does."""
        if not self._settings.as_json:
            sys.stdout.write(text + "\n")

    def exact(self, text: str) -> None:
        """Write a line that was asked for; surrogates become the bytes that they stand for."""
        if self._settings.as_json:
            return
        if text.isascii():
            sys.stdout.write(text + "\n")
            return
        sys.stdout.flush()
        sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape") + b"\n")

    def json(self, value: Mapping[str, object]) -> None:
        """Write one JSON object on a line, with ``--json`` only."""
        if self._settings.as_json:
            sys.stdout.write(encode_json(value) + "\n")

    def _aside(self, label: str, style: Style, text: str) -> None:
        with suppress(AttributeError, ValueError):
            sys.stdout.flush()
        color = self._settings.wants_color(sys.stderr, self.configured_color)
        shown = f"\033[{_STYLES[style]}m{label}\033[0m" if color else label
        # Chinese punctuation is as wide as a blank after it would be.
        gap = "" if label.endswith("：") else " "
        sys.stderr.write(f"{shown}{gap}{text}\n")

    def error(self, message: str, hint: str | None = None) -> None:
        """Write an error for people, and what to do next."""
        self._aside(_("error:"), "error", message)
        if hint:
            self._aside(_("hint:"), "hint", hint)

    def warning(self, message: str) -> None:
        """Write a warning for people."""
        if not (self._settings.as_json or self._settings.quiet):
            self._aside(_("warning:"), "warning", message)

    def hint(self, message: str) -> None:
        """Write what to do next, for people."""
        if not (self._settings.as_json or self._settings.quiet):
            self._aside(_("hint:"), "hint", message)

    def error_object(self, fields: Mapping[str, object]) -> None:
        """Write an error for programs: one JSON object on standard error."""
        with suppress(AttributeError, ValueError):
            sys.stdout.flush()
        sys.stderr.write(encode_json({"kind": "error", **fields}) + "\n")
