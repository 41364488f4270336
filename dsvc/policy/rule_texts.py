"""What rules ask for, in words: title, demand and remedy of each, in English and Chinese."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec

from dsvc.model.errors import CorruptDataError, UsageError
from dsvc.table.rules_file import read_document

TEXTS: Final = Path(__file__).parent / "texts"
LANGUAGES: Final = ("en", "zh")


class RuleText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Texts of a rule, by language.

    Attributes
    ----------
    title : mapping of str to str
        A few words.
    asks : mapping of str to str
        What it demands, and when it fails or can't be told.
    remedy : mapping of str to str
        How to settle what it finds.
    """

    title: Mapping[str, str]
    asks: Mapping[str, str]
    remedy: Mapping[str, str]


_NONE: Final = RuleText({}, {}, {})


class _TextsError(UsageError):
    """A file of texts that comes with dsvc can't be read; the caller says so as `CorruptDataError`."""

    code = "rule-texts"


@lru_cache(maxsize=1)
def _all() -> dict[str, RuleText]:
    found: dict[str, RuleText] = {}
    for path in sorted(TEXTS.glob("*.toml")):
        try:
            document = read_document(path.read_bytes(), path.name, _TextsError)
            found.update(msgspec.convert(document, dict[str, RuleText]))
        except (_TextsError, msgspec.ValidationError) as error:
            raise CorruptDataError(f"the installed texts of rules can't be read: {error}") from error
    return found


def text_of(rule: str) -> RuleText:
    """Texts of a rule; empty where there are none.

    Raises
    ------
    CorruptDataError
        If a file that was installed is damaged.
    """
    return _all().get(rule, _NONE)


def spoken(texts: Mapping[str, str], language: str) -> str:
    """One of the texts: in a language such as ``zh_CN``, else in English."""
    return texts.get(language.partition("_")[0], texts.get("en", ""))


def title_of(rule: str, language: str = "en") -> str:
    """Title of a rule; its id where it has none."""
    return spoken(text_of(rule).title, language) or rule
