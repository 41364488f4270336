"""What hashes of cells depend on, told without the engine: comparing indexes doesn't need it."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec
from typing import Final

RULES: Final = 3
"""Counts the changes of the rules in `dsvc.table.hashes.cell_hash` and `dsvc.table.hashes.text_hash`."""


@cache
def scheme() -> str:
    """Name the rules and the engine's version."""
    return f"{RULES}/{engine_version()}"


@cache
def engine_version() -> str:
    """Version of the engine, by its package where that is plain."""
    return _installed_version()


def _installed_version() -> str:
    found = find_spec("duckdb")
    if found is not None and found.origin is not None:
        folder = os.path.dirname(os.path.dirname(found.origin))
        names = [name for name in os.listdir(folder) if name.startswith("duckdb-")]
        if len(names) == 1 and names[0].endswith(".dist-info"):
            return names[0].removeprefix("duckdb-").removesuffix(".dist-info")
    import duckdb

    return str(duckdb.__version__)
