"""One step of ten: `parquet_step.py NUMBER IN OUT` takes rows away, changes cells, or orders anew."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def main(number: str, source: str, target: str) -> None:
    """Do what the number says, always in the same way."""
    rows = pq.read_table(source)
    rng = np.random.default_rng(int(number))
    what = int(number) % 3
    if what == 0:
        rows = rows.filter(pa.array(rng.random(rows.num_rows) < 0.97))
    elif what == 1:
        rows = rows.set_column(rows.column_names.index("score"), "score", pc.divide(rows["score"], 2.0))
    else:
        rows = rows.take(rng.permutation(rows.num_rows))
    pq.write_table(rows, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
