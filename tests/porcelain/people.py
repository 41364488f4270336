"""A person in several tables and versions, and a search of every stored byte that knows nothing of dsvc."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import zstandard

from tests.porcelain.running import do, table
from tests.porcelain.working import Work

COUNT = 1500
"""People in the table: enough for several chunks."""
WHO = "p-0007"
VALUE = "王小明-Zx81Q-only-here"
RULES = (
    b'[tables."people.csv"]\nkey = "who"\nsubject = "who"\n'
    b'[tables."orders.*"]\nkey = "order"\nsubject = "buyer"\n'
)
JOIN = (
    "people = {p['who']: p for p in read('people.csv')}\n"
    "write('joined.csv', [{'order': o['order'], 'who': o['buyer'], 'name': people[o['buyer']]['name']}"
    " for o in read('orders.csv')])"
)
TOTALS = (
    "found = {}\n"
    "for p in read('people.csv'): found.setdefault(p['city'], []).append(p)\n"
    "write('totals.csv', [{'city': c, 'n': len(found[c]), 'first': found[c][0]['name']}"
    " for c in sorted(found)])\n"
    "folder = pathlib.Path(os.environ['DSVC_RUN_DIR'])\n"
    "import pyarrow as pa, pyarrow.parquet as pq\n"
    "cities = sorted(found)\n"
    "rows = [('totals.csv', cities.index(p['city']), 'people.csv', n)"
    " for n, p in enumerate(read('people.csv'))]\n"
    "pq.write_table(pa.table(dict(zip(['output', 'output_row', 'input', 'input_row'], zip(*rows)))),"
    " folder / 'rowmap.parquet')\n"
)


def people(count: int, seen: str = "") -> bytes:
    """People; the one in question lives alone in a city."""
    return table(
        {
            "who": f"p-{n:04d}",
            "name": VALUE
            if f"p-{n:04d}" == WHO
            else f"name {n * 7919 % 10007} {seen if n % 50 == 0 else ''}",
            "city": "alone" if f"p-{n:04d}" == WHO else f"city {n % 3}",
        }
        for n in range(count)
    )


def orders(count: int) -> bytes:
    return table(
        {"order": n, "buyer": f"p-{n % 20:04d}", "note": VALUE if n % 20 == 7 else "-"} for n in range(count)
    )


def make_people(folder: Path) -> None:
    """Make three data sets in seven versions, with a join and an aggregate."""
    count = COUNT
    work = Work(folder)
    without = people(count).replace(f"{WHO},{VALUE},alone\n".encode(), b"")
    work.commit("nobody", {b"dsvc.toml": RULES, b"people.csv": without, b"orders.csv": orders(7)})
    work.commit("one", {b"people.csv": people(count)})
    work.commit("two", {b"people.csv": people(count, "later"), b"orders.csv": orders(40)})
    do(work, JOIN, ["people.csv", "orders.csv"], "joined.csv", name="join", keys={"joined.csv": ("order",)})
    work.commit("join")
    do(work, TOTALS, "people.csv", "totals.csv", name="totals")
    work.commit("totals")
    work.commit("more", {b"orders.csv": orders(60)})
    work.repo.close()


def holding(root: Path, text: str = VALUE) -> list[str]:
    """Files below a folder that hold a text, as they are or in any zstandard frame."""
    needle, found = text.encode(), []
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                data = file.read()
            if needle in data or any(needle in part for part in _frames(data)):
                found.append(os.path.relpath(path, root))
    return found


def _frames(data: bytes) -> list[bytes]:
    parts, at = [], 0
    while (at := data.find(b"\x28\xb5\x2f\xfd", at)) >= 0:
        with contextlib.suppress(zstandard.ZstdError):  # four bytes that only look like a frame
            parts.append(zstandard.ZstdDecompressor().decompressobj().decompress(data[at:]))
        at += 4
    return parts
