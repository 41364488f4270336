"""JSON Lines: the plain format of feedback, read line by line whatever the size of the file.

A first line may describe the run. Every other line is a sample:

============================================ ================================================================
``path``                                     file; may be missing where the subject is one table
``row``, ``position``, ``where``,            which rows: one of these
``row_hash``, ``ref`` (or ``dsvc_ref``)
``passed``                                   true: nothing is wrong; false: an observation
``symptom``, ``severity``                    what is wrong and how bad; either makes the line an observation
``metric``, ``value``                        what was measured for it; alone they don't judge it
``slice``, ``explanation``, ``evidence``     as `dsvc.model.feedback.Sample`
``sample_id``                                names it in later evaluations; else its key does
============================================ ================================================================

A line that says none of ``passed``, ``symptom``, ``severity``, ``value`` is an observation too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from dsvc.feedback.importers.importer import (
    HEAD_BYTES,
    MAX_DEPTH,
    FeedbackMalformedError,
    Imported,
    ImportOptions,
    OpenFile,
    counted,
    malformed,
)
from dsvc.feedback.importers.json_document import JsonObject, decode, lines
from dsvc.feedback.importers.peek import key_paths
from dsvc.feedback.importers.plain_fields import (
    FIELDS,
    ROW,
    FeedbackMappingError,
    Ignored,
    Line,
    check_mapping,
    looks_like_observation,
    sample_of,
)
from dsvc.model.feedback import EvaluationRun, Metric, PilotKind, Sample

NAME: Final = "jsonl"
_RUN_TEXTS: Final = frozenset(
    {"tool", "tool_version", "run_id", "created", "model", "suite", "split", "eval_set", "data_commit"}
)
_RUN_KEYS: Final = _RUN_TEXTS | {"metrics", "evaluated", "kind", "seed"}
_METRIC_KEYS: Final = frozenset(Metric.__struct_fields__) - {"support"}
_COLON: Final = re.compile(rb'"[ \t]*:')
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode_any: Final = msgspec.json.Decoder().decode


class PlainJsonl:
    """Reader of the plain format in JSON Lines."""

    name = NAME

    def recognises(self, head: bytes, file_name: str) -> bool:
        """Whether the first line is a run or an observation; a row of data is neither."""
        whole = head if len(head) < HEAD_BYTES else head[: head.rfind(b"\n") + 1]
        first = next((line for line in whole.removeprefix(b"\xef\xbb\xbf").splitlines() if line.strip()), b"")
        try:
            members = _decode_any(first) if first else None
        except _UNREADABLE:
            return False
        if not first:  # the line is longer than what is seen of it
            names = {path[0] for path in key_paths(head) if len(path) == 1}
            return "metrics" in names and names <= _RUN_KEYS
        if not isinstance(members, dict):
            return False
        if members.keys() <= _RUN_KEYS and members.keys() & {"metrics", "suite", "evaluated"}:
            return True
        hashed = isinstance(members.get("row_hash"), str) and members["row_hash"].startswith("blake3:")
        return looks_like_observation(members, selects=hashed or isinstance(members.get("row"), dict))

    def read(self, open_file: OpenFile, options: ImportOptions) -> Imported:
        """Read a file.

        Returns
        -------
        Imported
            Keys of lines that mean nothing are named and counted in ``run.extra["ignored"]`` once all samples
            were read.

        Raises
        ------
        FeedbackMalformedError
            If the first line is none of the format, or nothing is there; from `samples`: any other.
        FeedbackMappingError
            If `options.columns` names fields that there are not; from `samples`: if no line has a column.
        """
        check_mapping(options.columns)
        with open_file() as stream:
            number, line = next(lines(stream), (0, b""))
        if not number:
            raise malformed("", "the file is empty")
        place = f"line {number}"
        extra: dict[str, str] = {}
        members = _members(line, place)
        columns = frozenset(options.columns.values())
        is_run = bool(members.keys() & _RUN_KEYS) and not members.keys() & (FIELDS | columns)
        metrics: tuple[Metric, ...] = ()
        if is_run:
            top = JsonObject(members, place)
            extra |= top.rest(_RUN_KEYS)
            run, metrics = _run(top, extra), tuple(_metrics(top))
        else:
            run = EvaluationRun(tool=NAME, extra=extra)
        samples = _samples(open_file, options.columns, extra, skip=number if is_run else 0)
        return Imported(run, metrics, counted(samples))


def _members(line: bytes, place: str) -> dict[str, Any]:
    """Read the members of a line; any doubt about it is left to the slower decoder."""
    try:
        found = _decode_any(line)
        if isinstance(found, dict) and line.count(b"{") + line.count(b"[") <= MAX_DEPTH:
            row = found.get("row")
            if len(_COLON.findall(line)) == len(found) + (len(row) if isinstance(row, dict) else 0):
                return found
    except _UNREADABLE:
        pass
    members = decode(line, place)
    if not isinstance(members, dict):
        raise malformed(place, "not an object", members)
    return members


def _run(top: JsonObject, extra: Mapping[str, str]) -> EvaluationRun:
    evaluated, where = _evaluated(top)
    texts = {key: top.text(key) for key in _RUN_TEXTS if top.has(key)}
    kind = top.text("kind")
    if kind is not None and kind not in set(PilotKind):
        raise malformed(top.at("kind"), f"none of {', '.join(PilotKind)}", kind)
    return EvaluationRun(
        **{"tool": NAME, **texts},  # type: ignore[arg-type]
        kind=None if kind is None else PilotKind(kind),
        seed=top.scalar("seed"),
        evaluated=evaluated,
        where=where,
        extra=extra,
    )


def _evaluated(top: JsonObject) -> tuple[str | None, str | None]:
    found = top.value.get("evaluated")
    if found is None or found in ("all", "listed"):
        return found, None
    if isinstance(found, dict) and list(found) == ["where"] and isinstance(found["where"], str):
        return "where", found["where"]
    raise malformed(top.at("evaluated"), 'none of "all", "listed" and {"where": CONDITION}', found)


def _metrics(top: JsonObject) -> Iterator[Metric]:
    seen: dict[tuple[str, str | None, str | None], float] = {}
    for each in top.objects("metrics"):
        name, value = each.text("name"), each.number("value")
        if not name or value is None:
            raise malformed(each.place, "a metric has a name and a value")
        if strange := sorted(each.value.keys() - _METRIC_KEYS):
            raise malformed(each.at(strange[0]), "unknown of a metric")
        metric = Metric(
            name=name,
            value=value,
            n=each.whole("n"),
            unit=each.text("unit"),
            stderr=each.number("stderr"),
            higher_is_better=each.flag("higher_is_better"),
            task=each.text("task"),
            slice=each.text("slice"),
        )
        if seen.setdefault((name, metric.task, metric.slice), value) != value:
            raise malformed(each.place, "another value of a metric that was given before", name)
        yield metric


def _samples(
    open_file: OpenFile, columns: Mapping[str, str], extra: dict[str, str], *, skip: int
) -> Iterator[Sample]:
    ignored = Ignored()
    met: set[str] = set()
    with open_file() as stream:
        for number, line in lines(stream):
            if number <= skip:
                continue
            place = f"line {number}"
            members = _members(line, place)
            if columns:
                members = _renamed(members, columns, met)
            if not members.keys() <= FIELDS:
                _check_is_sample(members, place)
                ignored.add(sorted(members.keys() - FIELDS))
            try:
                parsed = msgspec.convert(members, Line)
            except msgspec.ValidationError as error:
                raise _wrong_type(error, place) from error
            yield sample_of(parsed, place)
    if lacking := sorted(set(columns.values()) - met):
        raise FeedbackMappingError(f"no line has {lacking[0][:80]!r}, which a field is mapped to")
    ignored.put_into(extra)


def _check_is_sample(members: Mapping[str, Any], place: str) -> None:
    """A second run line, or lines that were put together from two files, say nothing of a row."""
    if not members.keys() & FIELDS:
        what = (
            "a run is described by the first line only"
            if members.keys() & _RUN_KEYS
            else "no field of feedback"
        )
        raise malformed(place, what)


def _renamed(members: dict[str, Any], columns: Mapping[str, str], met: set[str]) -> dict[str, Any]:
    """Give mapped columns the names of their fields; a field that is mapped is read from nowhere else."""
    taken = set(columns.values())
    met |= taken & members.keys()
    renamed = {name: value for name, value in members.items() if name not in taken and name not in columns}
    row = dict(renamed.get("row") or {})
    for field, column in columns.items():
        if column in members:
            if field.startswith(ROW):
                row[field[len(ROW) :]] = members[column]
            else:
                renamed[field] = members[column]
    return {**renamed, "row": row} if row else renamed


def _wrong_type(error: msgspec.ValidationError, place: str) -> FeedbackMalformedError:
    message, _, path = str(error).partition(" - at `$")
    return malformed(place + path.rstrip("`").replace(".", "/"), message)
