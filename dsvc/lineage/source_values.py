"""Values of fields: read from text, TOML or JSON, checked, and put into the record of a source."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Final

import msgspec

from dsvc.lineage.license_text import check_license
from dsvc.lineage.source_fields import ALIASES, FIELDS, REQUIRED, UNDETERMINED, Field, FieldKind
from dsvc.model.errors import UsageError
from dsvc.model.source_record import Acquisition, LegalBasis, SourceRecord, Status, Value

MAX_TEXT_CHARACTERS: Final = 65_536
MAX_ITEMS: Final = 100_000
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:\d\d)")
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")

Changes = dict[str, Value | None]
"""Values by field, or by ``FIELD.PART``; None removes one."""


class SourceFieldError(UsageError):
    """A field of a source's record is unknown, or its value is of another kind."""

    code = "source-field"


def read_changes(pairs: Iterable[tuple[str, object]]) -> Changes:
    """Check values as they came from the command line, TOML or JSON.

    Parameters
    ----------
    pairs : iterable of (str, object)
        Name of a field, or ``FIELD.PART``, and its value: text of any field, or what TOML and JSON have for
        it. An empty text removes the field. Of a list, text is split at commas, and several pairs add up.

    Raises
    ------
    SourceFieldError
        If a field is unknown, or can't have that value.
    """
    found: Changes = {}
    for name, given in pairs:
        where = find_field(name)
        if where.kind is FieldKind.RECORD and "." not in name:
            found.update(_parts(name, where, given))
            continue
        value = None if given is None or given == "" else read_value(where, given, name)
        before = found.get(name)
        if isinstance(before, list) and isinstance(value, list):
            value = before + [item for item in value if item not in before]
        elif name in found and where.kind is not FieldKind.LIST:
            raise SourceFieldError(f"{name} is given twice", details={"field": name})
        found[name] = value
    return found


def find_field(name: str) -> Field:
    """Find a field, or a part of one, by its name.

    Raises
    ------
    SourceFieldError
        If there is none, with the one that was meant; or if dsvc finds its value out by itself.
    """
    outer, _, part = name.partition(".")
    known = FIELDS.get(outer)
    if known is None:
        raise _unknown(outer, FIELDS, "field of a source")
    if known.derived:
        raise SourceFieldError(
            f"{outer} is not set by hand", hint="dsvc source show tells it", details={"field": outer}
        )
    if not part:
        return known
    if part not in known.parts:
        raise _unknown(part, known.parts, f"part of {outer}")
    return known.parts[part]


def _unknown(name: str, known: Mapping[str, object], what: str) -> SourceFieldError:
    from difflib import get_close_matches

    word = name.lower().replace("-", "_").replace("licence", "license")
    close = [each for each in known if word and word in each] or get_close_matches(word, known, 3, 0.6)
    hint = f"did you mean {' or '.join(close[:3])}?" if close else "dsvc source template KIND lists them"
    if len(known) < 20:
        hint = f"it has {', '.join(known)}"
    return SourceFieldError(f"there is no {what} {name[:80]!r}", hint=hint, details={"field": name[:80]})


def _parts(name: str, where: Field, given: object) -> Changes:
    if given is None or given == "":
        return {name: None}
    if not isinstance(given, Mapping):
        example = f"{name}.{next(iter(where.parts))}=…"
        raise SourceFieldError(
            f"{name} has parts: {', '.join(where.parts)}", hint=f"set one: {example}", details={"field": name}
        )
    found: Changes = {}
    for part, value in given.items():
        found.update(read_changes([(f"{name}.{part}", value)]))
    return found


def read_value(where: Field, given: object, name: str) -> Value:
    """Check one value and give it its form in the record.

    Raises
    ------
    SourceFieldError
        If the field can't have it; where its values are a closed list, with that list.
    """
    if where.kind is FieldKind.LIST:
        return _list(where, given, name)
    if where.kind is FieldKind.NUMBER:
        return _number(where, given, name)
    if where.kind is FieldKind.DATE:
        return _date(given, name)
    if isinstance(given, bool):
        given = "yes" if given else "no"
    elif isinstance(given, int | float) and not isinstance(given, bool):
        given = str(given)
    if not isinstance(given, str):
        raise _wrong(name, given, "text")
    text = _text(given, name)
    if where.values:
        return _one_of(where, text, name)
    return check_license(text) if where.name == "license_expression" else text


def _wrong(name: str, given: object, wanted: str, hint: str | None = None) -> SourceFieldError:
    return SourceFieldError(
        f"{name} takes {wanted}, not {str(given)[:80]!r}", hint=hint, details={"field": name}
    )


def _text(given: str, name: str) -> str:
    text = given.strip()
    if _CONTROL.search(text):
        raise _wrong(name, given, "text without control characters")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise SourceFieldError(f"{name} has {len(text)} characters; at most {MAX_TEXT_CHARACTERS} are kept")
    return text


def _one_of(where: Field, text: str, name: str) -> str:
    word = text.casefold().replace("-", "_").replace(" ", "_")
    word = ALIASES.get(text, ALIASES.get(word, word))
    if word == "no" and "no" not in where.values and "none" in where.values:
        word = "none"
    if word not in where.values:
        from difflib import get_close_matches

        close = get_close_matches(word, where.values, 1, 0.6)
        raise _wrong(
            name, text, f"one of {', '.join(where.values)}", f"did you mean {close[0]}?" if close else None
        )
    return word


def _list(where: Field, given: object, name: str) -> list[str]:
    if isinstance(given, str):
        given = _json_list(given, name) if given.lstrip().startswith("[") else given.split(",")
    if not isinstance(given, list | tuple) or not all(isinstance(item, str) for item in given):
        raise _wrong(name, given, "a list of texts", 'as in zh,en or ["zh", "en"]')
    items = [text for item in given if (text := _text(item, name))]
    if where.values:
        items = [_one_of(where, item, name) for item in items]
    if len(items) > MAX_ITEMS:
        raise SourceFieldError(f"{name} has {len(items)} items; at most {MAX_ITEMS} are kept")
    return list(dict.fromkeys(items))


def _json_list(text: str, name: str) -> object:
    try:
        return msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise _wrong(name, text, "a list", 'as in zh,en or ["zh", "en"]') from error


def _number(where: Field, given: object, name: str) -> int | float:
    value: int | float
    try:
        if isinstance(given, str):
            text = given.strip().replace("_", "")
            value = int(text) if re.fullmatch(r"[+-]?\d{1,18}", text) else float(text)
        elif isinstance(given, int | float) and not isinstance(given, bool):
            value = given
        else:
            raise ValueError
    except ValueError as error:
        raise _wrong(name, given, "a number") from error
    if not math.isfinite(value) or value < 0:
        raise _wrong(name, given, "a number from 0 on")
    if where.maximum is not None and value > where.maximum:
        raise _wrong(name, given, f"a share from 0 to {where.maximum:g}", "5 % is 0.05")
    return value


def _date(given: object, name: str) -> str:
    if isinstance(given, datetime | date):
        given = given.isoformat()
    if isinstance(given, str):
        text = given.strip()
        try:
            if _DAY.fullmatch(text):
                return date.fromisoformat(text).isoformat()
            if _MOMENT.fullmatch(text):
                datetime.fromisoformat(text.upper())
                return text.upper().replace(" ", "T")
        except ValueError as error:
            raise _wrong(name, given, "a date that there is") from error
    raise _wrong(name, given, "a date", "as in 2026-11-22 or 2026-11-22T08:30:00Z")


def check_day(text: str, name: str) -> str:
    """Check a date as fields have it; raises `SourceFieldError`."""
    return _date(text, name)


# The record


def new_record(source_id: str, changes: Changes) -> SourceRecord:
    """Make the record of a new source.

    Raises
    ------
    SourceFieldError
        If something is missing that every source must have; all that is missing is named.
    """
    missing = [name for name in REQUIRED[1:] if not changes.get(name)]
    if missing:
        raise SourceFieldError(
            f"source {source_id} lacks {', '.join(missing)}",
            hint=_missing_hint(missing),
            details={"source": source_id, "missing": missing},
        )
    bare = SourceRecord(
        source_id=source_id,
        title="",
        acquisition=Acquisition.BULK,
        legal_basis=LegalBasis.UNDETERMINED,
        license_expression=UNDETERMINED,
    )
    return changed_record(bare, changes)


def _missing_hint(missing: list[str]) -> str:
    options = {"license_expression": "--license SPDX"}
    words = [options.get(name, f"--{name.replace('_', '-')} …") for name in missing]
    known = "; a licence or basis that isn't known yet is 'undetermined'"
    return f"give {' '.join(words)}, or --from FILE.toml{known}"


def changed_record(record: SourceRecord, changes: Changes) -> SourceRecord:
    """Put checked values into a record; a field that is set is no longer undetermined.

    Raises
    ------
    SourceFieldError
        If the id would change, or a field would go that every source must have.
    """
    fields: dict[str, Value] = dict(record.fields)
    attributes: dict[str, object] = {}
    for name, value in changes.items():
        outer, _, part = name.partition(".")
        if FIELDS[outer].attribute:
            attributes.update(_attribute(record, outer, value))
        elif part:
            before = fields.get(outer)
            inner = dict(before) if isinstance(before, Mapping) else {}
            if value is None:
                inner.pop(part, None)
            else:
                inner[part] = str(value)
            fields[outer] = dict(sorted(inner.items()))
            if not inner:
                del fields[outer]
        elif value is None:
            fields.pop(outer, None)
        else:
            fields[outer] = value
    settled = {name.partition(".")[0] for name in changes}
    undetermined = tuple(name for name in record.undetermined if name not in settled)
    return msgspec.structs.replace(
        record,
        fields=dict(sorted(fields.items())),
        undetermined=undetermined,
        **attributes,
    )


def _attribute(record: SourceRecord, name: str, value: Value | None) -> dict[str, object]:
    if name in ("blacklisted", "withdrawn"):
        return _status(record, name, value)
    if name == "ongoing":
        return {"ongoing": value == "yes"}
    if name == "source_id" and value != record.source_id:
        raise SourceFieldError(
            f"the id of source {record.source_id} stays as it is", hint="add another source: dsvc source add"
        )
    if not value:
        raise SourceFieldError(f"{name} can't go: every source must have it", details={"field": name})
    if name == "acquisition":
        return {name: Acquisition(str(value))}
    if name == "legal_basis":
        return {name: LegalBasis(str(value))}
    return {name: value}


def _status(record: SourceRecord, name: str, value: Value | None) -> dict[str, object]:
    if record.status is Status.WITHDRAWN:
        raise SourceFieldError(
            f"source {record.source_id} is withdrawn, and stays so",
            hint="dsvc undo takes the withdrawal back",
        )
    if value is None:
        return {"status": Status.ACTIVE, "reason": None} if record.status == name else {}
    return {"status": Status(name), "reason": str(value)}


def field_values(record: SourceRecord) -> dict[str, Value]:
    """Every value of a record by its field, in the order of the fields."""
    found: dict[str, Value] = {
        "source_id": record.source_id,
        "title": record.title,
        "acquisition": str(record.acquisition),
        "legal_basis": str(record.legal_basis),
        "license_expression": record.license_expression,
        **record.fields,
    }
    if record.ongoing:
        found["ongoing"] = "yes"
    if record.status is not Status.ACTIVE:
        found[record.status.value] = record.reason or ""
    return {name: found[name] for name in FIELDS if name in found}
