"""The record of a source as a file: TOML that is read and written, and what it is read into."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from dsvc.lineage.evidence import EvidenceOption, check_type
from dsvc.lineage.source_values import check_day, field_values
from dsvc.model.errors import UsageError
from dsvc.model.source_record import Coverage, Evidence, SourceRecord
from dsvc.table.rules_file import read_document

MAX_DOCUMENT_BYTES: Final = 16 << 20
_EVIDENCE_KEYS: Final = ("type", "file", "digest", "valid_from", "valid_to")
_COVERS_KEYS: Final = ("path", "where")


class SourceDocumentError(UsageError):
    """A file with the record of a source can't be read."""

    code = "source-document"


class SourceDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a file says of a source; nothing is checked against the fields yet.

    Attributes
    ----------
    values : tuple of (str, object)
        Fields with their values.
    covers : tuple of Coverage
    evidence : tuple of EvidenceOption
        Files by absolute paths.
    """

    values: tuple[tuple[str, Any], ...] = ()
    covers: tuple[Coverage, ...] = ()
    evidence: tuple[EvidenceOption, ...] = ()


def parse_toml(data: bytes, name: str, folder: str) -> SourceDocument:
    """Read a record from TOML, as `render_toml` and the templates write it.

    Parameters
    ----------
    name : str
        What to call it in messages.
    folder : str
        Where it stands: what evidence files are relative to.

    Raises
    ------
    SourceDocumentError
        If it is no TOML, or its evidence or what it covers has another form; with the line.
    SourceFieldError, EvidenceError
        If a date or a kind of evidence is wrong.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise SourceDocumentError(f"{name} has more than {MAX_DOCUMENT_BYTES >> 20} MiB")
    found = read_document(data, name, SourceDocumentError)
    evidence = _tables(found.pop("evidence", []), "evidence", _EVIDENCE_KEYS, name)
    covers = _tables(found.pop("covers", []), "covers", _COVERS_KEYS, name)
    return SourceDocument(
        values=tuple(found.items()),
        covers=tuple(_coverage(each, name) for each in covers),
        evidence=tuple(_evidence(each, name, folder) for each in evidence),
    )


def _tables(found: object, key: str, known: Sequence[str], name: str) -> list[dict[str, object]]:
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise SourceDocumentError(
            f"{name}: {key} must be tables", hint=f"[[{key}]], and below it {known[0]} = …"
        )
    for each in found:
        for word in each:
            if word not in known:
                raise SourceDocumentError(
                    f"{name}: {key} has no part {word[:80]!r}", hint=f"known are: {', '.join(known)}"
                )
    return found


def _word(table: Mapping[str, object], key: str, name: str) -> str | None:
    value = table.get(key)
    if value is not None and not isinstance(value, str):
        raise SourceDocumentError(f"{name}: {key} takes text, not {str(value)[:80]!r}")
    return value or None


def _coverage(table: Mapping[str, object], name: str) -> Coverage:
    path = table.get("path")
    if not isinstance(path, str) or os.path.isabs(path):
        raise SourceDocumentError(f"{name}: covers needs a path below the working tree")
    normal = os.path.normpath(path)
    return Coverage(path=b"" if normal == "." else os.fsencode(normal), where=_word(table, "where", name))


def _evidence(table: Mapping[str, object], name: str, folder: str) -> EvidenceOption:
    file = _word(table, "file", name)
    if file is None:
        raise SourceDocumentError(
            f"{name}: evidence needs a file", hint='[[evidence]], and below it file = "…"'
        )
    type_ = _word(table, "type", name)
    digest = _word(table, "digest", name)
    try:
        bytes_ = None if digest is None else bytes.fromhex(digest.removeprefix("blake3:"))
    except ValueError as error:
        raise SourceDocumentError(f"{name}: {digest!r} is no digest", hint="blake3:HEX") from error
    return EvidenceOption(
        os.path.join(folder, file),
        None if type_ is None else check_type(type_),
        _day(table.get("valid_from"), "valid_from"),
        _day(table.get("valid_to"), "valid_to"),
        bytes_,
        file,
    )


def _day(value: object, key: str) -> str | None:
    if value is None or value == "":
        return None
    return check_day(value if isinstance(value, str) else str(value), key)


def render_toml(record: SourceRecord) -> str:
    """Write a record as TOML that `parse_toml` reads as the same one.

    Evidence is named by its place in the working tree, or by its name for a file that came from elsewhere:
    whoever exports puts that beside the TOML.

    Raises
    ------
    SourceDocumentError
        If a path in it is not UTF-8, which TOML has no way to write.
    """
    values = field_values(record)
    lines = [f"{key} = {_toml(value)}" for key, value in values.items() if not isinstance(value, Mapping)]
    lines += [f"# undetermined: {', '.join(record.undetermined)}"] if record.undetermined else []
    for key, value in values.items():
        if isinstance(value, Mapping):
            lines += ["", f"[{key}]", *(f"{part} = {_toml(inner)}" for part, inner in value.items())]
    for cover in record.covers:
        lines += ["", "[[covers]]", f"path = {_toml(os.fsdecode(cover.path) or '.')}"]
        lines += [f"where = {_toml(cover.where)}"] if cover.where is not None else []
    for each in record.evidence:
        lines += ["", "[[evidence]]", *_evidence_lines(each)]
    return "\n".join(lines) + "\n"


def _evidence_lines(each: Evidence) -> list[str]:
    file = each.name if each.path is None else os.fsdecode(each.path)
    found = {"type": each.type, "file": file, "digest": f"blake3:{each.digest.hex()}"}
    found |= {key: value for key in ("valid_from", "valid_to") if (value := getattr(each, key)) is not None}
    return [f"{key} = {_toml(value)}" for key, value in found.items()]


def _toml(value: object) -> str:
    """Write a value; JSON's texts, numbers and lists are TOML's, too."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError as error:
        raise SourceDocumentError(f"TOML can't hold {value!r:.200}, which is not UTF-8") from error
