"""The words of a dataset card, in English and Chinese."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from dsvc.model.errors import CorruptDataError, UsageError
from dsvc.table.rules_file import read_document

Language = Literal["en", "zh"]
LANGUAGES: Final[tuple[Language, ...]] = ("en", "zh")
_FILE: Final = Path(__file__).parent / "texts" / "card.toml"


class _Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    en: str
    zh: str


class _TextsError(UsageError):
    """A file of texts that comes with dsvc can't be read; the caller says so as `CorruptDataError`."""

    code = "card-texts"


@lru_cache(maxsize=len(LANGUAGES))
def card_words(language: Language) -> dict[str, str]:
    """Give all words of a card in one language.

    Raises
    ------
    CorruptDataError
        If the installed file is not as it was made.
    """
    try:
        document = read_document(_FILE.read_bytes(), _FILE.name, _TextsError)
        words = msgspec.convert(document, dict[str, _Words])
    except (_TextsError, msgspec.ValidationError, OSError) as error:
        raise CorruptDataError(f"the installed words of cards can't be read: {error}") from error
    return {key: getattr(each, language) for key, each in words.items()}
