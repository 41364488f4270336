"""What people say of their tables in ``dsvc.toml``: keys, and which column plays which part.

A section ``[tables."GLOB"]`` holds for the paths that the glob matches, with the syntax of gitignore. Where
several match, the last one counts, whole: nothing is taken from the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dsvc.model.errors import UsageError
from dsvc.table.rules_file import read_document

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

ROLES: Final = (
    "content",
    "label",
    "annotator",
    "reviewer",
    "batch",
    "rules",
    "split",
    "subject",
    "licence",
    "source",
    "file",
)
"""Parts that columns play; a part that isn't declared is unknown, never guessed."""
_KEYS: Final = ("key", *ROLES)
_HINT: Final = 'a section looks like: [tables."data/*.csv"], with key = ["id"] below it'


class TableRulesError(UsageError):
    """The rules for tables in ``dsvc.toml`` can't be read."""

    code = "table-rules"


@dataclass(frozen=True, slots=True)
class TableRule:
    """What is said of one table.

    Attributes
    ----------
    key : tuple of str
        Columns that tell a row from all others; empty where nothing is said.
    roles : mapping of str to tuple of str
        Columns by the part that they play, one of `ROLES`; parts that aren't declared are absent.
    """

    key: tuple[str, ...] = ()
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_NOTHING: Final = TableRule()


class TableRules:
    """The rules of one ``dsvc.toml``; without any, every path has the empty rule.

    Parameters
    ----------
    rules : sequence of (compiled glob, TableRule)
        In the order of the file.
    """

    def __init__(self, rules: Sequence[tuple[GitIgnoreSpec, TableRule]] = ()) -> None:
        self._rules = tuple(rules)

    @classmethod
    def parse(cls, data: bytes, name: str) -> TableRules:
        """Read the file; sections other than ``[tables]`` are not looked at.

        Parameters
        ----------
        data : bytes
            Its content, TOML.
        name : str
            What to call it in messages.

        Raises
        ------
        TableRulesError
            If it is malformed or names an unknown key, with the line where it does.
        """
        document = read_document(data, name, TableRulesError)
        text = data.decode("utf-8-sig")
        sections = document.get("tables", {})
        reader = _Reader(name, text)
        if not isinstance(sections, dict):
            raise reader.error("tables", None, "it must hold sections", _HINT)
        return cls([reader.rule(glob, section) for glob, section in sections.items()])

    def for_path(self, path: bytes) -> TableRule:
        """Return what is said of the table at a path."""
        text = path.decode("utf-8", "surrogateescape")
        for spec, rule in reversed(self._rules):
            if spec.match_file(text):
                return rule
        return _NOTHING

    def __bool__(self) -> bool:
        """Whether there are any rules."""
        return bool(self._rules)


def _details(name: str, line: int | None) -> dict[str, object]:
    return {"path": name, "line": line}


class _Reader:
    """Checks sections, and finds the lines of what is wrong: the parser doesn't tell them."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._lines = text.splitlines()

    def rule(self, glob: str, section: object) -> tuple[GitIgnoreSpec, TableRule]:
        """Check one section.

        Raises
        ------
        TableRulesError
            If a key is unknown, or a value of another type.
        """
        if not isinstance(section, dict):
            raise self.error(glob, None, "it must be a section", _HINT)
        for key in section:
            if key not in _KEYS:
                raise self._unknown(glob, key)
        columns = {key: self._columns(glob, key, value) for key, value in section.items()}
        key = columns.pop("key", ())
        return self._compiled(glob), TableRule(key, columns)

    def _compiled(self, glob: str) -> GitIgnoreSpec:
        from dsvc.model.path_patterns import PatternError, path_patterns

        if not glob.strip() or glob.startswith(("!", "#")) or "\n" in glob:
            raise self.error(glob, None, "this glob matches no path", _HINT)
        try:
            return path_patterns([glob])
        except PatternError as error:
            raise self.error(glob, None, f"no valid glob: {error}", None) from error

    def _unknown(self, glob: str, key: str) -> TableRulesError:
        from difflib import get_close_matches

        close = get_close_matches(key.lower(), _KEYS, 1, 0.5)
        hint = f"did you mean {close[0]}?" if close else f"known are: {', '.join(_KEYS)}"
        return self.error(glob, key, f"unknown key {key!r}", hint)

    def _columns(self, glob: str, key: str, value: object) -> tuple[str, ...]:
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(n, str) and n for n in names) or not names:
            raise self.error(glob, key, f"{key} takes the name of a column, or a list of names", None)
        if len(set(names)) != len(names):
            raise self.error(glob, key, f"{key} names a column twice", None)
        return tuple(names)

    def error(self, glob: str, key: str | None, problem: str, hint: str | None) -> TableRulesError:
        """Name section, key and line of a problem."""
        line = self._line_of(glob, key)
        where = self._name if line is None else f"{self._name}, line {line}"
        section = "[tables]" if glob == "tables" else f'[tables."{glob}"]'
        return TableRulesError(
            f"{where}: {section}: {problem}",
            hint=hint,
            details={**_details(self._name, line), "section": glob, "key": key},
        )

    def _line_of(self, glob: str, key: str | None) -> int | None:
        """Line of a key below the header of its section; else of the header; else of either word."""
        header = next((n for n, line in enumerate(self._lines) if _heads(line, glob)), None)
        start = 0 if header is None else header
        if key is not None:
            written = re.compile(rf"""(?:^|[\s{{,."'])["']?{re.escape(key)}["']?\s*=""")
            for number in range(start, len(self._lines)):
                if written.search(self._lines[number]):
                    return number + 1
        if header is None:
            header = next((n for n, line in enumerate(self._lines) if glob in line), None)
        return None if header is None else header + 1


def _heads(line: str, glob: str) -> bool:
    """Whether a line is the header of a table's section."""
    import tomllib

    if not line.lstrip().startswith("["):
        return False
    try:
        return tomllib.loads(line) == {"tables": {glob: {}}}
    except tomllib.TOMLDecodeError:
        return False
