"""Join two Parquet files and shuffle the result: `parquet_join.py ORDERS USERS OUT`."""

import sys

import numpy as np
import pyarrow.parquet as pq


def main(orders: str, users: str, target: str) -> None:
    """Each order with its user, in an order that follows from nothing."""
    joined = pq.read_table(orders).join(pq.read_table(users), keys="user", join_type="inner")
    order = np.random.default_rng(1).permutation(joined.num_rows)
    pq.write_table(joined.take(order), target)


if __name__ == "__main__":
    main(*sys.argv[1:])
