"""A list of sensitive words: the user's own file, with a version, a date and a risk for each word.

Three ways to write it are read. TOML::

    version = "2026.11"
    updated = "2026-11-20"
    source = "who keeps it"
    [risks]
    fraud = ["first word", "第二个词"]

Lines of JSON, the first with ``version``, ``updated`` and ``source``, the others with ``word`` and ``risk``.
Or plain text: ``# version: 2026.11`` and so on at its head, then a word on each line below its ``[risk]``.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple, Self

import msgspec
from blake3 import blake3

from dsvc.model.encoding import encode
from dsvc.model.errors import UsageError
from dsvc.model.waiver import is_day
from dsvc.table.rules_file import read_document

MAX_BYTES: Final = 64 << 20
MAX_WORD_CHARACTERS: Final = 200
_HEADER: Final = re.compile(r"#\s*(version|updated|source)\s*[:=：]\s*(.+)")
_RISK: Final = re.compile(r"\[([^\[\]]+)\]")


class WordListError(UsageError):
    """A list of sensitive words can't be read."""

    code = "word-list"


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    version: str
    updated: str
    source: str = ""


class _Word(msgspec.Struct, forbid_unknown_fields=True):
    word: str
    risk: str


class _Document(_Header, forbid_unknown_fields=True):
    risks: dict[str, list[str]] = {}


def folded(text: str) -> str:
    """Write a text as words are compared: full and half width alike, upper and lower case too."""
    return unicodedata.normalize("NFKC", text).casefold()


class WordList(NamedTuple):
    """A list of sensitive words.

    Attributes
    ----------
    version : str
        What its keeper calls this version.
    updated : str
        When it was last brought up to date, ``YYYY-MM-DD``.
    source : str
        Where it is from.
    words : mapping of str to tuple of str
        Risks of each word, sorted; words as `folded` gives them.
    """

    version: str
    updated: str
    source: str
    words: Mapping[str, tuple[str, ...]]

    @property
    def counts(self) -> dict[str, int]:
        """How many words there are of each risk."""
        found = Counter(risk for risks in self.words.values() for risk in risks)
        return dict(sorted(found.items()))

    @property
    def digest(self) -> str:
        """Hex digest of all that the list says."""
        said = [self.version, self.updated, self.source, sorted(self.words.items())]
        return blake3(encode(["dsvc v1 word list", said])).hexdigest()

    @classmethod
    def load(cls, data: bytes) -> Self:
        """Read a list.

        Raises
        ------
        WordListError
            If it is malformed, has no version, date or words, or a word is too long.
        """
        if len(data) > MAX_BYTES:
            raise WordListError(f"a list of words of more than {MAX_BYTES >> 20} MiB is not read")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise WordListError(f"the list of words is not UTF-8: {error}") from error
        header, words = _parsed(text)
        if not is_day(header.updated):
            raise WordListError(
                f"the list of words: updated must be a date, YYYY-MM-DD, not {header.updated[:40]!r}"
            )
        found = _united(words)
        if not found or not header.version.strip():
            raise WordListError(f"the list of words has no {'version' if found else 'words'}")
        return cls(header.version, header.updated, header.source, found)


def _parsed(text: str) -> tuple[_Header, Iterator[tuple[str, str]]]:
    front = text.lstrip()[:1]
    try:
        if front == "{":
            return _json_lines(text)
        if re.search(r"^\s*version\s*=", text, re.MULTILINE):
            document = msgspec.convert(
                read_document(text.encode(), "the list of words", WordListError), _Document
            )
            return document, ((word, risk) for risk, words in document.risks.items() for word in words)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WordListError(f"the list of words is malformed: {error}") from error
    return _plain(text)


def _json_lines(text: str) -> tuple[_Header, Iterator[tuple[str, str]]]:
    lines = [line for line in text.splitlines() if line.strip()]
    words = [msgspec.json.decode(line, type=_Word) for line in lines[1:]]
    return msgspec.json.decode(lines[0], type=_Header), ((each.word, each.risk) for each in words)


def _plain(text: str) -> tuple[_Header, Iterator[tuple[str, str]]]:
    header: dict[str, str] = {}
    words: list[tuple[str, str]] = []
    risk = None
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if found := _HEADER.fullmatch(line):
            header[found[1]] = found[2].strip()
        elif not line or line.startswith("#"):
            continue
        elif found := _RISK.fullmatch(line):
            risk = found[1].strip()
        elif risk is None:
            raise WordListError(f"the list of words, line {number}: no [risk] stands above this word")
        else:
            words.append((line, risk))
    for key in ("version", "updated"):
        if key not in header:
            raise WordListError(f"the list of words has no line '# {key}: …'")
    return _Header(header["version"], header["updated"], header.get("source", "")), iter(words)


def _united(words: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for word, risk in words:
        written = folded(word).strip()
        if not written or not risk.strip() or len(written) > MAX_WORD_CHARACTERS:
            raise WordListError(
                f"the list of words: {word[:40]!r} is empty, too long, or has no risk",
                details={"word": word[:200]},
            )
        found.setdefault(written, set()).add(risk.strip())
    return {word: tuple(sorted(found[word])) for word in sorted(found)}
