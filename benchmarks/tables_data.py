"""Versions of a table: `python -m benchmarks.tables_data FOLDER NAME ROWS CHANGES [--sides]`.

Rows are those of `parquet_normalize.py`: a number, text of 14 words, label, score, language. The format is
that of NAME's extension. Without --sides FOLDER/v1 and FOLDER/v2 are written: CHANGES cells changed, half as
many rows removed, CHANGES rows added. With it FOLDER/base, FOLDER/ours and FOLDER/theirs: on each side
CHANGES changes, half of them cells, a quarter removed rows and a quarter added ones, of rows that the other
side leaves alone.
"""

import argparse
import random
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.parquet_normalize import CHANGED_COLUMNS, LABELS, LANGUAGES, table

BATCH_ROWS = 50_000
# What becomes of a word: never itself, so that every changed cell differs.
_NEXT_WORD = {
    column: dict(pairwise([*dict.fromkeys(words), words[0]]))
    for column, words in (("label", LABELS), ("lang", LANGUAGES))
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """How many cells change, rows go and rows come; `side` 0 or 1 touches only even or only odd numbers."""

    cells: int
    removed: int
    added: int
    side: int | None = None


def edited(original: pa.Table, edit: Edit) -> pa.Table:
    """The table after the edit; each cell that changes is in another row."""
    rng = random.Random(f"tables: {edit.side}")
    rows = original.num_rows
    numbers = range(rows) if edit.side is None else range(edit.side, rows, 2)
    touched = rng.sample(numbers, edit.cells + edit.removed)
    gone = touched[edit.cells :]
    made = original
    for place, name in enumerate(CHANGED_COLUMNS):
        own = sorted(touched[place : edit.cells : len(CHANGED_COLUMNS)])
        column = original[name].combine_chunks()
        values = [_other(name, value, rng) for value in column.take(pa.array(own, pa.int64())).to_pylist()]
        changed = pc.replace_with_mask(column, _mask(original, own), pa.array(values, column.type))
        made = made.set_column(made.column_names.index(name), name, changed)
    made = made.filter(pc.invert(_mask(original, gone)))
    first = rows + edit.added * (edit.side or 0)
    return pa.concat_tables([made, table(edit.added, seed=f"tables: new {edit.side}", first=first)])


def _mask(original: pa.Table, numbers: list[int]) -> pa.Array:
    return pc.is_in(original["id"].combine_chunks(), pa.array(numbers, pa.int64()))


def _other(column: str, value: object, rng: random.Random) -> object:
    if isinstance(value, float):
        return value + 1 + rng.random()
    words = _NEXT_WORD.get(column)
    return f"{value} {rng.randrange(1 << 20)}" if words is None else words[str(value)]


def write(path: Path, made: pa.Table) -> None:
    """Write the table in the format of the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(made, path)
    elif path.suffix == ".csv":
        pyarrow.csv.write_csv(made, path)
    else:
        encoder = msgspec.json.Encoder()
        with path.open("wb") as out:
            for batch in made.to_batches(BATCH_ROWS):
                out.write(encoder.encode_lines(batch.to_pylist()))


def main() -> None:
    """Write the versions; run as a process of its own, so that its memory goes when it ends."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables_data", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("name")
    parser.add_argument("rows", type=int)
    parser.add_argument("changes", type=int)
    parser.add_argument("--sides", action="store_true")
    options = parser.parse_args()
    first = table(options.rows)
    few = min(options.changes, options.rows // 8)
    if options.sides:
        write(options.folder / "base" / options.name, first)
        for side, name in enumerate(("ours", "theirs")):
            edit = Edit(cells=few // 2, removed=few // 4, added=few // 4, side=side)
            write(options.folder / name / options.name, edited(first, edit))
    else:
        write(options.folder / "v1" / options.name, first)
        edit = Edit(cells=few, removed=few // 2, added=few)
        write(options.folder / "v2" / options.name, edited(first, edit))


if __name__ == "__main__":
    main()
