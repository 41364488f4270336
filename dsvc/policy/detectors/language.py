"""Which languages a file is written in, and what share of its texts each has.

What a text is follows from its letters alone and not from the part that a column is said to play: the answer
is kept by the file's content, and must not depend on anything else.
"""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from dsvc.model.detection import Detection
from dsvc.model.errors import MalformedInputError
from dsvc.policy.detectors.detector import DetectorUnavailableError, ScannedFile, input_key
from dsvc.policy.detectors.scripts import is_prose, language_by_script
from dsvc.policy.detectors.tally import Tally

if TYPE_CHECKING:
    import pyarrow as pa
    from lingua import LanguageDetector

LANGUAGES: Final = (
    *("ar", "de", "en", "es", "fr", "hi", "id", "it", "ja", "ko"),
    *("nl", "pl", "pt", "ru", "th", "tr", "uk", "vi", "zh"),
)
UNDETERMINED: Final = "und"
SLICE_BYTES: Final = 20_000
SLICES: Final = 10
MAX_CHARACTERS: Final = 2000
"""Of one text, as many are enough to know its language."""


class Language:
    """Tells the languages of texts in a table, or of lines of a text.

    Texts are a table's cells, also those within lists and structs, and a text file's lines, which hold enough
    letters to tell: 12, or 4 of a script of East Asia. Of more than `texts` of them a sample is taken, fixed
    by the file's content; of a text file at most 200,000 bytes are looked at, in slices from all over it.
    Chinese, Japanese and Korean are told by their scripts, others by lingua in its low-accuracy mode; one
    that isn't among `languages` is taken for the most similar of them.

    It never has hits. Measures: ``share:CODE`` for each language by its ISO 639-1 code, ``share:und`` of what
    can't be told, and ``texts``, how many were looked at.

    Parameters
    ----------
    languages : iterable of str
        ISO 639-1 codes.
    texts : int
        How many texts of a file are looked at.
    """

    name = "language"

    def __init__(self, languages: Iterable[str] = LANGUAGES, texts: int = 2000) -> None:
        self._languages = tuple(sorted(set(languages)))
        self._texts = texts
        self._lingua: LanguageDetector | None = None

    def version(self) -> str:
        """Version of this detector, of lingua, and of the character tables.

        Raises
        ------
        DetectorUnavailableError
            If lingua isn't installed.
        """
        from importlib.metadata import PackageNotFoundError, version

        try:
            return f"1; lingua {version('lingua-language-detector')}; unicode {unicodedata.unidata_version}"
        except PackageNotFoundError as error:
            raise DetectorUnavailableError(
                "languages can't be told: lingua-language-detector is not installed "
                "(pip install 'dsvc[detectors]')",
                hint="pip install 'dsvc[detectors]'",
            ) from error

    def config(self) -> Mapping[str, str]:
        """Languages, and how much is looked at."""
        return {
            "languages": " ".join(self._languages),
            "texts": str(self._texts),
            "bytes": str(SLICE_BYTES * SLICES),
        }

    def scan(self, file: ScannedFile) -> Detection:
        """Tell the languages of a file.

        Raises
        ------
        DetectorUnavailableError
            If lingua isn't installed.
        DsvcError
            If the bytes can't be had.
        """
        self.version()
        tally = Tally()
        key = input_key(self.name, [(file.path, file.digest)])
        draw = random.Random(file.digest)  # noqa: S311  a sample that anybody can draw again
        try:
            lines = _lines(file, draw, tally) if file.kind is None else _cells(file, tally)
            sample = _sampled(lines, self._texts, draw)
        except _OpaqueError as error:
            return tally.detection(self, key, unknown=str(error))
        except MalformedInputError as error:
            return tally.detection(self, key, unknown=error.message)
        found = Counter(self._language(text) for text in sample)
        tally.measures["texts"] = float(len(sample))
        for code, count in found.items():
            tally.measures[f"share:{code}"] = round(count / len(sample), 6)
        return tally.detection(self, key, note=None if sample else "no text")

    def _language(self, text: str) -> str:
        told = language_by_script(text)
        if told is not None:
            return told
        found = self._detector().detect_language_of(text)
        return UNDETERMINED if found is None else str(found.iso_code_639_1.name).lower()

    def _detector(self) -> LanguageDetector:
        if self._lingua is None:
            from lingua import IsoCode639_1, LanguageDetectorBuilder

            codes = [getattr(IsoCode639_1, code.upper()) for code in self._languages]
            built = LanguageDetectorBuilder.from_iso_codes_639_1(*codes)
            self._lingua = built.with_low_accuracy_mode().build()
        return self._lingua


class _OpaqueError(Exception):
    """Text may be in a file that can't be seen from outside."""


def _sampled(texts: Iterable[str], count: int, draw: random.Random) -> list[str]:
    """Keep some of the texts, each with the same chance."""
    kept: list[str] = []
    for number, text in enumerate(texts):
        if len(kept) < count:
            kept.append(text[:MAX_CHARACTERS])
        elif (place := int(draw.random() * (number + 1))) < count:
            kept[place] = text[:MAX_CHARACTERS]
    return kept


def _cells(file: ScannedFile, tally: Tally) -> Iterator[str]:
    """Yield the texts of a table, row by row."""
    from dsvc.table.reading.arrow_reader import open_arrow

    assert file.kind is not None
    tally.scanned_bytes = file.size
    with open_arrow(file.source, file.kind) as table:
        names = [field.name for field in table.schema if _may_hold_text(field.type)]
        for batch in table.batches(names):
            tally.scanned_records += batch.num_rows
            columns = [batch.column(name).to_pylist() for name in names]
            for row in zip(*columns, strict=True):
                for cell in row:
                    yield from _texts_in(cell)


def _may_hold_text(kind: pa.DataType) -> bool:
    import pyarrow.types as kinds

    if kinds.is_dictionary(kind):
        return _may_hold_text(kind.value_type)
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return True
    return bool(kinds.is_nested(kind))


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if is_prose(value):
            yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts_in(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _texts_in(part)


def _lines(file: ScannedFile, draw: random.Random, tally: Tally) -> Iterator[str]:
    """Yield lines of a text from slices of it; of what is no text, nothing.

    Raises
    ------
    _OpaqueError
        If it is no text, but text may be inside.
    """
    from dsvc.policy.detectors.text_stream import Content, open_stream, read_text

    with open_stream(file) as stream:
        opened = read_text(stream)
        if opened.content is not Content.TEXT:
            if opened.opaque:
                raise _OpaqueError(f"{file.name} is {opened.opaque}, which this detector can't look into")
            return
        pieces = _sampled_slices(opened.chunks, draw)
    tally.scanned_bytes = sum(map(len, pieces))
    for piece in pieces:
        yield from (line for line in piece.decode("utf-8", "ignore").splitlines() if is_prose(line))


def _sampled_slices(chunks: Iterable[bytes], draw: random.Random) -> list[bytes]:
    """Take slices of a text: all of a short one, of a long one some from all over it."""
    kept: list[bytes] = []
    seen = 0
    for chunk in chunks:
        places = range(0, len(chunk), SLICE_BYTES)
        for start in sorted(draw.sample(places, min(SLICES, len(places)))):
            piece = chunk[start : start + SLICE_BYTES]
            seen += 1
            if len(kept) < SLICES:
                kept.append(piece)
            elif (place := int(draw.random() * seen)) < SLICES:
                kept[place] = piece
    return kept


__all__ = ["LANGUAGES", "UNDETERMINED", "Language"]
