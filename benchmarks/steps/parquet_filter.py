"""Filter a Parquet file: `parquet_filter.py IN OUT`; seven rows in ten stay."""

import sys

import pyarrow.compute as pc
import pyarrow.parquet as pq


def main(source: str, target: str) -> None:
    """Keep rows by their score."""
    rows = pq.read_table(source)
    pq.write_table(rows.filter(pc.less(rows["score"], 0.7)), target)


if __name__ == "__main__":
    main(*sys.argv[1:])
