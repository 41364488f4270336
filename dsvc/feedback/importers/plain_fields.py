"""The fields of the plain formats, JSON Lines and CSV: what one line says of one sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from dsvc.feedback.importers.importer import malformed
from dsvc.feedback.importers.json_document import finite, to_json
from dsvc.feedback.reference import (
    FIELD,
    MalformedReferenceError,
    Reference,
    key_text,
    read_reference,
)
from dsvc.model.errors import UsageError
from dsvc.model.feedback import DefectSeverity, Sample, Scalar, Selector

FAILED: Final = "failed"
"""Symptom of what failed in a file that doesn't say how."""
ROW: Final = "row."
"""Before a key column's name, where a row has to be said in columns."""
_MAX_NAMED: Final = 50
_encode: Final = msgspec.json.Encoder(order="sorted").encode


class FeedbackMappingError(UsageError):
    """``--map`` names a field that there is not, or a column that the file lacks."""

    code = "feedback-mapping"


class Line(msgspec.Struct, kw_only=True):
    """One line, its types checked; None is what it doesn't say."""

    path: str | None = None
    path_b64: bytes | None = None
    row: dict[str, Scalar] | None = None
    position: int | None = None
    where: str | None = None
    row_hash: str | None = None
    ref: str | None = None
    dsvc_ref: str | None = None
    symptom: str | None = None
    severity: str | None = None
    metric: str | None = None
    value: bool | int | float | None = None
    passed: bool | None = None
    slice: str | None = None
    explanation: str | None = None
    evidence: Any = None
    sample_id: str | None = None


FIELDS: Final = frozenset(Line.__struct_fields__)
VERDICTS: Final = frozenset({"symptom", "severity", "passed"})
_WAYS: Final = ("row", "position", "where", "row_hash")
_WEAK: Final = frozenset({"path", "path_b64", "position", "where", "ref", "row_hash", "row"})


def check_mapping(columns: Mapping[str, str], fields: Collection[str] = FIELDS) -> None:
    """Refuse a mapping of fields that aren't any.

    Raises
    ------
    FeedbackMappingError
        If a field is unknown, or a column is given to two.
    """
    for field in columns:
        if field not in fields and not (field.startswith(ROW) and len(field) > len(ROW)):
            known = ", ".join([*sorted(FIELDS - {"row"}), f"{ROW}COLUMN"])
            raise FeedbackMappingError(f"feedback has no field {field[:80]!r}", hint=f"fields are {known}")
    if len(set(columns.values())) < len(columns):
        raise FeedbackMappingError("one column is mapped to two fields")


def looks_like_observation(names: Iterable[str], *, selects: bool) -> bool:
    """Say whether something with these fields is an observation, and not a row of somebody's data.

    Parameters
    ----------
    names : iterable of str
    selects : bool
        Whether it names a row in a way that only this format has.
    """
    found = {"row" if name.startswith(ROW) else name for name in names}
    if not found & VERDICTS:
        return False
    return selects or FIELD in found or bool(found & _WEAK and found <= FIELDS)


def sample_of(line: Line, place: str) -> Sample:
    """Read what a line says.

    Raises
    ------
    FeedbackMalformedError
        If it contradicts itself.
    """
    symptom, passed = line.symptom or None, line.passed
    severity = _severity(line.severity, place) if line.severity else None
    scores = {} if line.value is None else {line.metric or "value": _number(line.value, place)}
    if passed is None and (symptom or severity or not scores):
        passed = False
    if passed:
        if symptom:
            raise malformed(place, "passed, and yet with a symptom", symptom)
        severity = None
    selector = _selector(line, place)
    return Sample(
        pointer=place,
        selector=selector,
        sample_id=line.sample_id or identity(selector),
        passed=passed,
        scores=scores,
        symptom=symptom or (FAILED if passed is False else None),
        severity=severity,
        slice=line.slice or None,
        explanation=line.explanation or None,
        evidence=_text(line.evidence),
    )


def identity(selector: Selector) -> str:
    """Name a sample by its row's key, which stays the same in other versions; empty where it has none."""
    if selector.row is not None:
        path = (selector.path or b"").decode("utf-8", "replace")
        return f"{path}#{_encode(selector.row).decode()}"
    if selector.ref is not None:
        return selector.ref.partition(":")[2]
    return ""


def _text(value: Any) -> str | None:
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else to_json(value)


def _number(value: bool | float, place: str) -> float:
    if isinstance(value, bool):
        return float(value)
    number = finite(value, f"{place}/value")
    assert number is not None
    return number


def _severity(text: str, place: str) -> DefectSeverity:
    try:
        return DefectSeverity(text)
    except ValueError as error:
        raise malformed(f"{place}/severity", "none of P1, P2, P3", text) from error


def _selector(line: Line, place: str) -> Selector:
    path = None if line.path is None and line.path_b64 is None else _path(line, place)
    ways = (line.row, line.position, line.where, line.row_hash)
    if ways.count(None) < len(ways) - 1:
        named = [name for name, way in zip(_WAYS, ways, strict=True) if way is not None]
        raise malformed(place, f"names rows in two ways, by {named[0]} and by {named[1]}")
    if line.row is not None:
        _check_row(line.row, place)
    if line.position is not None and not 0 <= line.position < 1 << 63:
        raise malformed(f"{place}/position", "not the number of a row", line.position)
    ref = line.ref or line.dsvc_ref
    if ref:
        if line.dsvc_ref and line.dsvc_ref != ref:
            raise malformed(place, "has two references", line.dsvc_ref)
        if path is not None or ways != (None, None, None, None):
            _check_agreement(ref, line, path, place)
        return Selector(ref=ref)
    return Selector(path=path, row=line.row, position=line.position, where=line.where, row_hash=line.row_hash)


def _path(line: Line, place: str) -> bytes:
    path = line.path_b64
    if path is None:
        path = (line.path or "").encode("utf-8", "replace")
    elif line.path is not None and path.decode("utf-8", "replace") != line.path:
        raise malformed(place, "path and path_b64 are two paths", line.path)
    if not path or b"\0" in path:
        raise malformed(f"{place}/path", "no path")
    return path


def _check_row(row: Mapping[str, Scalar], place: str) -> None:
    if not row:
        raise malformed(f"{place}/row", "a key without columns")
    for name, value in row.items():
        if isinstance(value, float):
            finite(value, f"{place}/row/{name[:80]}")
        elif isinstance(value, int) and not -(1 << 63) <= value < 1 << 64:
            raise malformed(f"{place}/row/{name[:80]}", "a number of more than 64 bits")


def _check_agreement(ref: str, line: Line, path: bytes | None, place: str) -> None:
    """A reference beside a path and a key says the same, or the line contradicts itself."""
    try:
        told = read_reference(ref)
        key = tuple((name, key_text(name, value)) for name, value in (line.row or {}).items())
    except MalformedReferenceError as error:
        raise malformed(place, error.message) from error
    stated = Reference(told.revision, told.path if path is None else path, tuple(sorted(key)), line.position)
    bare = not key and line.position is None and line.where is None and line.row_hash is None
    if bare and stated.path == told.path:
        return
    if stated != told._replace(key=tuple(sorted(told.key))):
        raise malformed(place, "names rows in two ways that differ, one of them by reference", ref)


class Ignored:
    """Fields that no line should have, counted while lines are read."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._others = 0

    def add(self, names: Iterable[str]) -> None:
        """Count fields of a line."""
        for full in names:
            name = full[:80]
            if name in self._counts or len(self._counts) < _MAX_NAMED:
                self._counts[name] += 1
            else:
                self._others += 1

    def put_into(self, extra: dict[str, str]) -> None:
        """Name them in ``ignored``, if there are any."""
        if self._counts:
            others = {"…": self._others} if self._others else {}
            extra["ignored"] = to_json({**dict(sorted(self._counts.items())), **others})
