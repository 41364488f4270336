"""What ``dsvc.toml`` says of lineage: which paths are no data.

``[lineage] project`` has globs in the syntax of gitignore for what belongs to a project without being data:
code, notes, settings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from dsvc.model.errors import UsageError
from dsvc.table.rules_file import read_document

if TYPE_CHECKING:
    from pathspec import GitIgnoreSpec

PROJECT: Final = (
    "*.py",
    "*.sh",
    "*.sql",
    "*.ipynb",
    "*.toml",
    "*.yaml",
    "*.yml",
    "Makefile",
    "README*",
    "LICEN[CS]E*",
    "docs/**",
)
"""What is no data where ``dsvc.toml`` says nothing else."""
_IS_PROJECT: Final = re.compile(
    rb"(?:^|/)(?:[^/]*\.(?:py|sh|sql|ipynb|toml|yaml|yml)|Makefile|README[^/]*|LICEN[CS]E[^/]*)(?:/|\Z)|^docs/",
    re.DOTALL,
)
"""The globs of `PROJECT`: every commit asks them, and most of them need no library for it."""
_NEVER_DATA: Final = (b"dsvc.toml", b".dsvcignore")


class LineageRulesError(UsageError):
    """What ``dsvc.toml`` says of lineage can't be read."""

    code = "lineage-rules"


class LineageRules:
    """The rules of one ``dsvc.toml``.

    Parameters
    ----------
    project : sequence of str
        Globs of what is no data.
    selected : frozenset of bytes
        Paths that are data all the same: a release selects them by name.
    """

    def __init__(self, project: Sequence[str] = PROJECT, selected: frozenset[bytes] = frozenset()) -> None:
        self.project = tuple(project)
        self.selected = selected
        self._spec: GitIgnoreSpec | None = None

    @classmethod
    def parse(cls, data: bytes, name: str) -> LineageRules:
        """Read the file; other sections than ``[lineage]`` are not looked at.

        Parameters
        ----------
        data : bytes
            Its content, TOML.
        name : str
            What to call it in messages.

        Raises
        ------
        LineageRulesError
            If it is malformed, or a value is of another type.
        """
        document = read_document(data, name, LineageRulesError)
        project = _texts(document, "lineage", "project", name)
        rules = cls(PROJECT if project is None else project)
        rules._check(name)
        return rules

    def _check(self, name: str) -> None:
        from dsvc.model.path_patterns import PatternError, path_patterns

        try:
            self._spec = path_patterns(self.project)
        except PatternError as error:
            raise LineageRulesError(
                f"{name}: [lineage] project: {error}", details={"path": name, "section": "lineage"}
            ) from error

    def is_project(self, path: bytes) -> bool:
        """Whether a path is no data by its name; a run that reads it or a source over it makes it data."""
        if path in self.selected:
            return False
        if self.project == PROJECT:
            return _IS_PROJECT.search(path) is not None
        if self._spec is None:
            from dsvc.model.path_patterns import path_patterns

            self._spec = path_patterns(self.project)
        return self._spec.match_file(path.decode("utf-8", "surrogateescape"))


def is_never_data(path: bytes) -> bool:
    """Whether a path is a file of dsvc itself, which is no data whatever covers it."""
    return path.rpartition(b"/")[2] in _NEVER_DATA


def _texts(document: Mapping[str, object], section: str, key: str, name: str) -> tuple[str, ...] | None:
    """Give a list of texts of a section, None where it isn't there."""
    found = document.get(section, {})
    if not isinstance(found, dict):
        raise LineageRulesError(f"{name}: {section} must be a section", details={"path": name})
    value = found.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        raise LineageRulesError(
            f"{name}: [{section}] {key} takes a list of texts",
            hint=f'as in: {key} = ["…"]',
            details={"path": name, "section": section, "key": key},
        )
    return tuple(value)
