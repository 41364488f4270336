"""Declared drops and maps against the rows that there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsvc.lineage.captured import CapturedInput, CaptureRequest
from dsvc.lineage.declared_maps import DeclaredDrops, Key, RowMapError
from dsvc.lineage.links import Links
from dsvc.lineage.record_rows import ABSENT, RecordRows
from dsvc.model.run_record import Role

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]


class Drops(NamedTuple):
    """Rows of an input that its run says it dropped.

    Attributes
    ----------
    rows, reason_of, survivors : ndarray of int64, shape (n,)
        Rows, ascending, each once; which of `reasons`; the row that stands for it, -1 if none.
    reasons : tuple of str
    """

    rows: Numbers
    reason_of: Numbers
    survivors: Numbers
    reasons: tuple[str, ...]


def no_drops() -> Drops:
    """Give none."""
    nothing = np.zeros(0, np.int64)
    return Drops(nothing, nothing, nothing, ())


def takes_part(item: CapturedInput) -> bool:
    """Whether an input's rows are followed."""
    return item.rows is not None and item.role is Role.INPUT


def checked_links(request: CaptureRequest) -> dict[int, dict[int, Links]]:
    """Take the declared links, by output and input.

    Raises
    ------
    RowMapError
        If they name what the run doesn't have.
    """
    found: dict[int, dict[int, Links]] = {}
    declared = request.declared
    for (output_path, input_path), links in declared.links.items() if declared else ():
        output = next((n for n, each in enumerate(request.outputs) if each.path == output_path), None)
        if output is None:
            raise _unknown("output", output_path)
        output_rows = request.outputs[output].rows
        if output_rows is None:
            raise RowMapError(f"a row map is of {_show(output_path)}, which has no rows")
        number, rows = _input(request, input_path)
        for side, numbers, path in (
            (output_rows, links.outputs, output_path),
            (rows, links.inputs, input_path),
        ):
            if len(numbers) and (int(numbers.min()) < 0 or int(numbers.max()) >= side.rows):
                wrong = int(numbers.max()) if int(numbers.min()) >= 0 else int(numbers.min())
                raise _out_of_range(wrong, path, side.rows)
        found.setdefault(output, {})[number] = links
    return found


def _input(request: CaptureRequest, path: bytes) -> tuple[int, RecordRows]:
    number = next((n for n, e in enumerate(request.inputs) if e.path == path and takes_part(e)), None)
    if number is None:
        if any(each.path == path for each in request.inputs):
            raise RowMapError(f"a row map is of {_show(path)}, whose rows take no part in the run")
        raise _unknown("input", path)
    rows = request.inputs[number].rows
    assert rows is not None
    return number, rows


def _unknown(side: str, path: bytes) -> RowMapError:
    return RowMapError(
        f"a row map names {_show(path)}, which is no {side} of the run",
        hint="paths are written as the run has them, relative to the working tree",
        details={"path": _show(path)},
    )


def _out_of_range(row: int, path: bytes, rows: int) -> RowMapError:
    return RowMapError(
        f"a row map names row {row} of {_show(path)}, which has {rows} rows, counted from 0",
        details={"path": _show(path), "row": row, "rows": rows},
    )


def _show(path: bytes) -> str:
    return path.decode(errors="replace")


def checked_drops(request: CaptureRequest) -> dict[int, Drops]:
    """Take the declared drops, by input.

    Raises
    ------
    RowMapError
        If they name what the run doesn't have, or one row twice with different reasons.
    """
    declared = request.declared
    found = {}
    for path, drops in declared.drops.items() if declared else ():
        number, rows = _input(request, path)
        found[number] = _resolved(drops, rows, path)
    return found


def refuse_children(
    drops: Mapping[int, Drops], counts: Mapping[int, Numbers], request: CaptureRequest
) -> None:
    """Refuse dropped rows that are in an output.

    Raises
    ------
    RowMapError
        Naming the first.
    """
    for number, own in drops.items():
        wrong = own.rows[counts[number][own.rows] > 0]
        if len(wrong):
            path = _show(request.inputs[number].path)
            raise RowMapError(
                f"row {int(wrong[0])} of {path} is said to be dropped, but it is in an output",
                details={"path": path, "row": int(wrong[0]), "rows": len(wrong)},
            )


def _resolved(drops: DeclaredDrops, rows: RecordRows, path: bytes) -> Drops:
    numbers = _with_keys(drops.rows, drops.keys, rows, path)
    survivors = _with_keys(drops.survivors, drops.survivor_keys, rows, path)
    if not len(numbers):
        return no_drops()
    for each in (numbers, survivors):
        if int(each.max()) >= rows.rows:
            raise _out_of_range(int(each.max()), path, rows.rows)
    if int(numbers.min()) < 0 or int(survivors.min()) < ABSENT:
        raise _out_of_range(int(min(numbers.min(), survivors.min())), path, rows.rows)
    if (numbers == survivors).any():
        raise RowMapError(f"a row of {_show(path)} is said to be dropped and to stand for itself")
    order = np.argsort(numbers, kind="stable")
    numbers, reason_of, survivors = numbers[order], drops.reason_of[order], survivors[order]
    same = numbers[1:] == numbers[:-1]
    contradicts = same & ((reason_of[1:] != reason_of[:-1]) | (survivors[1:] != survivors[:-1]))
    if contradicts.any():
        row = int(numbers[1:][contradicts][0])
        raise RowMapError(
            f"row {row} of {_show(path)} is said to be dropped twice, for different reasons",
            details={"path": _show(path), "row": row},
        )
    first = np.concatenate(([True], ~same))
    return Drops(numbers[first], reason_of[first], survivors[first], drops.reasons)


def _with_keys(numbers: Numbers, keys: Mapping[int, Key], rows: RecordRows, path: bytes) -> Numbers:
    """Put rows in place of the keys that name them."""
    if not keys:
        return numbers
    found = numbers.copy()
    by_columns: dict[tuple[str, ...], list[int]] = {}
    for place, key in keys.items():
        by_columns.setdefault(tuple(sorted(key)), []).append(place)
    for columns, places in by_columns.items():
        missing = [name for name in columns if name not in rows.columns]
        if missing:
            raise RowMapError(
                f"a dropped row of {_show(path)} is named by {missing[0]!r}, which is no column"
            )
        found[places] = _found(columns, [keys[place] for place in places], rows, path)
    return found


def _found(columns: Sequence[str], keys: Sequence[Key], rows: RecordRows, path: bytes) -> Numbers:
    try:
        found = rows.find(columns, [[key[name] for name in columns] for key in keys])
    except ValueError as error:
        raise RowMapError(f"the key of a dropped row of {_show(path)}: {error}") from error
    wrong = np.flatnonzero(found < 0)
    if len(wrong):
        place = int(wrong[0])
        what = "no row" if found[place] == ABSENT else "more than one row"
        raise RowMapError(
            f"{what} of {_show(path)} has the key {dict(keys[place])}",
            hint=None if found[place] == ABSENT else "name such rows by their number: row",
            details={"path": _show(path), "key": dict(keys[place])},
        )
    return found
