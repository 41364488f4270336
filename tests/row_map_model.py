"""What capture has to come to, computed row by row from how a step was made, and the check against it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import xxhash

from dsvc.lineage.capture import capture
from dsvc.lineage.captured import CapturedInput, CapturedOutput, CaptureRequest, CaptureResult
from dsvc.lineage.link_file import LinkFile, encode_links
from dsvc.lineage.record_rows import RecordRows
from dsvc.lineage.row_account import decode_account, encode_account
from dsvc.model.run_record import MAY_ADD, RunKind

Row = dict[str, str | None]
Parents = frozenset[tuple[int, int]]
"""Of a row: input and row in it."""


@dataclass
class Made:
    """An output: rows, and for each the rows that it came from."""

    columns: list[str]
    rows: list[Row]
    parents: list[Parents]
    key: tuple[str, ...] = ()

    def add(self, row: Row, *parents: tuple[int, int]) -> None:
        self.rows.append(row)
        self.parents.append(frozenset(parents))


@dataclass
class Table:
    columns: list[str]
    rows: list[Row]
    key: tuple[str, ...] = ()


@dataclass
class Step:
    kind: RunKind
    inputs: list[Table]
    outputs: list[Made]
    renamed: dict[str, str] = field(default_factory=dict)


def record_rows(columns: Sequence[str], rows: Sequence[Mapping[str, str | None]]) -> RecordRows:
    def cells(names: Sequence[str]) -> dict[str, np.ndarray[tuple[int], np.dtype[np.uint64]]]:
        return {
            name: np.array([0 if row.get(name) is None else hash_of(row[name]) for row in rows], np.uint64)
            for name in names
        }

    def spell(name: str, texts: Sequence[str]) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
        return np.array([[hash_of(text)] for text in texts], np.uint64)

    unique = [
        name
        for name in columns
        if None not in (v := [row.get(name) for row in rows]) and len(set(v)) == len(v)
    ]
    return RecordRows(len(rows), columns, cells, spell, unique=unique)


def hash_of(value: object) -> int:
    return xxhash.xxh3_64_intdigest(str(value).encode()) or 1


def captured(step: Step) -> CaptureResult:
    return capture(
        CaptureRequest(
            kind=step.kind,
            inputs=[
                CapturedInput(b"in%d" % n, record_rows(each.columns, each.rows), each.key)
                for n, each in enumerate(step.inputs)
            ],
            outputs=[
                CapturedOutput(b"out%d" % n, record_rows(each.columns, each.rows), each.key)
                for n, each in enumerate(step.outputs)
            ],
            renamed=step.renamed,
        )
    )


# The model


def as_content(row: Mapping[str, str | None]) -> tuple[tuple[str, str], ...]:
    """What a row says; null is as good as absent."""
    return tuple(sorted((name, value) for name, value in row.items() if value is not None))


def fates(step: Step, parents: Sequence[Sequence[Parents]]) -> list[Counter[str]]:
    """Fates by the definitions, row by row, from the parents of each output's rows."""
    found = []
    for number, table in enumerate(step.inputs):
        children: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for output, rows in enumerate(parents):
            for place, own in enumerate(rows):
                for input_, parent in sorted(own):
                    if input_ == number:
                        children[parent].append((output, place))
        counts: Counter[str] = Counter()
        for row_number, row in enumerate(table.rows):
            counts[fate(step, parents, number, row, children[row_number])] += 1
        found.append(counts)
    return found


def fate(
    step: Step,
    parents: Sequence[Sequence[Parents]],
    number: int,
    row: Row,
    children: list[tuple[int, int]],
) -> str:
    if not children:
        return "dropped"
    if len(children) > 1:
        return "split"
    ((output, place),) = children
    if sum(each[0] == number for each in parents[output][place]) > 1:
        return "merged"
    child = step.outputs[output]
    there: Row = {}
    for name, value in row.items():
        to = step.renamed.get(name)
        if to in child.columns:
            # What stands under the new name already is no column of the output any more.
            gone = {to + " (before)": row[to]} if to in row else {}
            there = {**there, **gone, to: value}
        else:
            there.setdefault(name, value)
    return "kept" if as_content(there) == as_content(child.rows[place]) else "changed"


def parents_in(result: CaptureResult, step: Step) -> list[list[Parents]]:
    found: list[list[set[tuple[int, int]]]] = [[set() for _ in each.rows] for each in step.outputs]
    for (output, number), links in result.links.items():
        for row, parent in zip(links.outputs.tolist(), links.inputs.tolist(), strict=True):
            found[output][row].add((number, parent))
    return [[frozenset(own) for own in rows] for rows in found]


def shape(step: Step, parents: Sequence[Sequence[Parents]]) -> list[Counter[object]]:
    """Content of each output's rows with that of their parents."""
    return [
        Counter(
            (
                as_content(row),
                tuple(sorted((number, as_content(step.inputs[number].rows[r])) for number, r in own)),
            )
            for row, own in zip(made.rows, rows, strict=True)
        )
        for made, rows in zip(step.outputs, parents, strict=True)
    ]


def check(step: Step, *, exact: bool = True) -> CaptureResult:
    """Check what holds for every run and, if `exact`, that the parents are the true ones."""
    result = captured(step)
    found = parents_in(result, step)
    counted = fates(step, found)
    for number, table in enumerate(step.inputs):
        account = result.accounts[number]
        own = account.fates
        names = ("kept", "changed", "merged", "split", "dropped")
        assert {name: getattr(own, name) for name in names if getattr(own, name)} == dict(counted[number])
        assert own.total == len(table.rows)
        assert sum(account.drops().values()) == own.dropped == len(account.dropped)
        assert encode_account(decode_account(encode_account(account))) == encode_account(account)
    for output, rows in enumerate(found):
        added = sum(not own for own in rows)
        assert result.added[output] == added
        if added and step.kind not in {*MAY_ADD, RunKind.APPLY}:
            assert result.problems
    for links in result.links.values():
        again = LinkFile(encode_links(links)).all()
        assert (again.outputs == links.outputs).all()
        assert (again.inputs == links.inputs).all()
    if exact:
        truth = [made.parents for made in step.outputs]
        assert shape(step, found) == shape(step, truth)
        assert counted == fates(step, truth)
        assert not result.problems
    return result
