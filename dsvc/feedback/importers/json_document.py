"""JSON of unknown origin: read within limits, and asked for values with the place of what is wrong."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Collection, Iterator, Mapping
from typing import BinaryIO, Final

from dsvc.feedback.importers.importer import (
    MAX_DEPTH,
    MAX_DOCUMENT_BYTES,
    MAX_LINE_BYTES,
    FeedbackMalformedError,
    malformed,
)

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

MAX_CONTAINERS: Final = 4_000_000
"""Arrays and objects of one document: each takes up to 200 bytes of memory, and three in the file."""
MAX_VALUES: Final = 32_000_000
_EXTRA_VALUE: Final = 4096
_EXTRA_TOTAL: Final = 64 << 10
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
_BOM: Final = b"\xef\xbb\xbf"


def read_document(stream: BinaryIO, place: str = "") -> Json:
    """Read a file that is one JSON document.

    Raises
    ------
    FeedbackMalformedError
        If it is none, or larger, deeper or of more values than is read.
    """
    return decode(read_bytes(stream, place), place)


def read_bytes(stream: BinaryIO, place: str = "") -> bytes:
    """Read all of a file that has to be read as a whole.

    Raises
    ------
    FeedbackMalformedError
        If it is larger than `MAX_DOCUMENT_BYTES`.
    """
    parts: list[bytes] = []
    # Of a file it is known before anything is read; a member of an archive says what it likes.
    left = 0 if _file_size(stream) > MAX_DOCUMENT_BYTES else MAX_DOCUMENT_BYTES + 1
    while left and (part := stream.read(min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    if not left:
        raise malformed(
            place,
            f"larger than {MAX_DOCUMENT_BYTES >> 20} MiB, which is not read as one document",
            hint="JSON Lines, one sample a line, may have any size",
        )
    return b"".join(parts)


def _file_size(stream: BinaryIO) -> int:
    try:
        return os.fstat(stream.fileno()).st_size
    except (OSError, AttributeError):
        return 0


def lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Give the lines of a file that aren't blank, with their 1-based numbers.

    Raises
    ------
    FeedbackMalformedError
        If a line is longer than `MAX_LINE_BYTES`.
    """
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise malformed(f"line {number}", f"longer than {MAX_LINE_BYTES >> 20} MiB")
        if number == 1:
            line = line.removeprefix(_BOM)
        if line := line.strip():
            yield number, line


def decode(data: bytes, place: str = "") -> Json:
    """Decode one JSON document.

    ``NaN`` is taken as the tools write it, and refused where a number is asked for. A surrogate that stands
    alone becomes U+FFFD.

    Raises
    ------
    FeedbackMalformedError
        If it is none, has a key twice, or is deeper or of more values than is read.
    """
    openers = data.count(b"{") + data.count(b"[")
    if openers > MAX_CONTAINERS or data.count(b",") > MAX_VALUES:
        raise malformed(place, "more values than are read of one document")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise malformed(place, f"not UTF-8 at byte {error.start}") from error
    try:
        value: Json = json.loads(text, object_pairs_hook=_object, parse_float=_float)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if "\n" in text else f"column {error.colno}"
        raise malformed(place, f"not JSON at {where} ({error.msg})") from error
    except _RefusedError as error:
        raise malformed(place, error.what, error.shown) from error
    except ValueError as error:  # an integer of thousands of digits
        raise malformed(place, "a number that is too long") from error
    except RecursionError as error:
        raise malformed(place, f"nested deeper than {MAX_DEPTH}") from error
    if openers > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise malformed(place, f"nested deeper than {MAX_DEPTH}")
    return _whole_characters(value) if _SURROGATE.search(data) else value


class _RefusedError(Exception):
    """Leaves the decoder; `decode` knows the place."""

    def __init__(self, what: str, shown: str) -> None:
        super().__init__(what)
        self.what = what
        self.shown = shown


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    """Make an object of its members, unless a name stands in it twice: readers disagree on what that says."""
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _RefusedError("a key that stands twice in one object", twice)
    return made


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _RefusedError("a number beyond the range of a double", text)
    return value


def _depth(value: Json) -> int:
    """How deep a value is, level by level; stops where that is too deep."""
    level: list[Json] = [value]
    depth = 0
    while depth <= MAX_DEPTH:
        level = [each for each in level if isinstance(each, (dict, list))]
        if not level:
            return depth
        depth += 1
        level = [each for held in level for each in (held.values() if isinstance(held, dict) else held)]  # type: ignore[union-attr]
    return depth


def _whole_characters(value: Json) -> Json:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole_characters(each) for each in value]
    if isinstance(value, dict):
        return {str(_whole_characters(key)): _whole_characters(each) for key, each in value.items()}
    return value


class JsonObject:
    """An object of a document, with the JSON pointer to it.

    What it lacks is None, or empty; what is of a wrong type is an error.

    Parameters
    ----------
    value : Json
    place : str
        JSON pointer (RFC 6901), or ``line 7`` and a pointer.

    Raises
    ------
    FeedbackMalformedError
        If `value` is no object; by methods, if a member is not of the type that they give.
    """

    __slots__ = ("place", "value")

    def __init__(self, value: Json, place: str = "") -> None:
        if not isinstance(value, dict):
            raise malformed(place, "not an object", value)
        self.value: Mapping[str, Json] = value
        self.place = place

    def at(self, key: str | int) -> str:
        """Write the place of a member."""
        return f"{self.place}/{str(key).replace('~', '~0').replace('/', '~1')}"

    def has(self, *keys: str) -> bool:
        """Say whether all of these members are there and not null."""
        return all(self.value.get(key) is not None for key in keys)

    def text(self, key: str) -> str | None:
        """Give a string.

        Raises
        ------
        FeedbackMalformedError
            If it is no string.
        """
        found = self.value.get(key)
        if found is None or isinstance(found, str):
            return found
        raise self._wrong(key, "not a string")

    def scalar(self, key: str) -> str | None:
        """Give a string, or a number or truth value as JSON writes it: for ids and seeds.

        Raises
        ------
        FeedbackMalformedError
            If it is no plain value.
        """
        found = self.value.get(key)
        if found is None or isinstance(found, str):
            return found
        if isinstance(found, (dict, list)):
            raise self._wrong(key, "not a plain value")
        return to_json(found)

    def number(self, key: str, *, nan_is_none: bool = False) -> float | None:
        """Give a finite number; ``NaN`` is None for tools that write it for a value that there is not."""
        found = self.value.get(key)
        return None if found is None else finite(found, self.at(key), nan_is_none=nan_is_none)

    def whole(self, key: str) -> int | None:
        """Give an integer that is not negative and fits into 63 bits.

        Raises
        ------
        FeedbackMalformedError
            If it is no count.
        """
        found = self.value.get(key)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 1 << 63:
            raise self._wrong(key, "not a count")
        return found

    def flag(self, key: str) -> bool | None:
        """Give a truth value.

        Raises
        ------
        FeedbackMalformedError
            If it is neither true nor false.
        """
        found = self.value.get(key)
        if found is None or isinstance(found, bool):
            return found
        raise self._wrong(key, "neither true nor false")

    def object(self, key: str) -> JsonObject:
        """Give an object; an empty one where there is none."""
        found = self.value.get(key)
        return JsonObject({} if found is None else found, self.at(key))

    def array(self, key: str) -> list[Json]:
        """Give an array; an empty one where there is none.

        Raises
        ------
        FeedbackMalformedError
            If it is no array.
        """
        found = self.value.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            raise self._wrong(key, "not an array")
        return found

    def objects(self, key: str) -> Iterator[JsonObject]:
        """Give the elements of an array of objects."""
        at = self.at(key)
        for number, each in enumerate(self.array(key)):
            yield JsonObject(each, f"{at}/{number}")

    def entries(self) -> Iterator[tuple[str, JsonObject]]:
        """Give the members of an object of objects."""
        for key, each in self.value.items():
            yield key, JsonObject(each, self.at(key))

    def rest(self, known: Collection[str]) -> dict[str, str]:
        """Give the other members as JSON, for `EvaluationRun.extra`.

        What is longer than 4,096 characters, or beyond 64 KiB together, is named in ``omitted`` instead.
        """
        return bounded_extra({key: each for key, each in self.value.items() if key not in known})

    def _wrong(self, key: str, what: str) -> FeedbackMalformedError:
        return malformed(self.at(key), what, self.value[key])


def finite(value: Json, place: str, *, nan_is_none: bool = False) -> float | None:
    """Give a number as a double.

    Raises
    ------
    FeedbackMalformedError
        If it is none, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise malformed(place, "not a number", value)
    if isinstance(value, float) and math.isnan(value) and nan_is_none:
        return None
    try:
        number = float(value)
    except OverflowError as error:
        raise malformed(place, "a number beyond the range of a double") from error
    if not math.isfinite(number):
        raise malformed(place, "a number that is not finite", value)
    return number


def to_json(value: Json) -> str:
    """Write a value as JSON in one line, keys in the order of the file; ``NaN`` becomes a string."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return to_json(_named(value))


def _named(value: Json) -> Json:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list):
        return [_named(each) for each in value]
    return {key: _named(each) for key, each in value.items()} if isinstance(value, dict) else value


def bounded_extra(members: Mapping[str, Json]) -> dict[str, str]:
    """Write members as JSON, leaving out and naming in ``omitted`` what is too long."""
    kept: dict[str, str] = {}
    omitted: list[Json] = []
    room = _EXTRA_TOTAL
    for key, value in members.items():
        written = to_json(value)
        if len(written) <= _EXTRA_VALUE and len(written) + len(key) <= room:
            kept[key] = written
            room -= len(written) + len(key)
        elif len(key) <= room:
            omitted.append(key)
            room -= len(key)
    if omitted:
        kept["omitted"] = to_json(omitted)
    return kept
