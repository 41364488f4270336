"""A table of events as one Parquet file, with pyarrow's default settings."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.records import draws

LABELS = ("accept", "defer", "escalate", "reject", "review", "skip", "spam", "unknown")
CHANGED_ROWS = 10


def _random_column(rng: random.Random, rows: int, kind: pa.DataType) -> pa.Array:
    """Evenly distributed integers of the given type."""
    return pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(rng.randbytes(rows * kind.bit_width // 8))])


def table(rows: int) -> pa.Table:
    """Version 1."""
    rng = random.Random("parquet")
    words = pa.array(draws())
    phrase = pc.binary_join_element_wise(
        *(words.take(_random_column(rng, rows, pa.uint16())) for _ in range(4)),
        " ",
    )
    minute = pc.cast(_random_column(rng, rows, pa.uint16()), pa.int64())
    number = pa.array(range(rows), pa.int64())
    seconds = pc.add(pc.multiply(number, 11), pc.add(minute, 1_700_000_000))
    label = pc.shift_right(_random_column(rng, rows, pa.uint8()), pa.scalar(5, pa.uint8()))
    score = pc.divide(pc.cast(_random_column(rng, rows, pa.uint32()), pa.float64()), float(1 << 32))
    return pa.table(
        {
            "id": number,
            "user": pc.shift_right(_random_column(rng, rows, pa.uint32()), pa.scalar(12, pa.uint32())),
            "at": pc.cast(seconds, pa.timestamp("s")),
            "label": pa.array(LABELS).take(label),
            "score": score,
            "phrase": phrase,
        }
    )


def changed(original: pa.Table) -> pa.Table:
    """Version 2: another label, score and phrase in a few rows."""
    rng = random.Random("parquet changes")
    rows = original.num_rows
    picked = sorted(rng.sample(range(rows), min(CHANGED_ROWS, rows)))
    mask = pc.is_in(original["id"].combine_chunks(), pa.array(picked, pa.int64()))
    values: dict[str, list[object]] = {
        "label": [rng.choice(LABELS) for _ in picked],
        "score": [rng.random() for _ in picked],
        "phrase": [" ".join(rng.choices(draws(), k=4)) for _ in picked],
    }
    for name, replacements in values.items():
        column = pc.replace_with_mask(original[name].combine_chunks(), mask, pa.array(replacements))
        original = original.set_column(original.column_names.index(name), name, column)
    return original


def write_rows(path: Path, rows: int, version: int) -> None:
    """Write one version of the table."""
    first = table(rows)
    pq.write_table(first if version == 1 else changed(first), path)
