"""The cache of row indexes: files that refer to each other, and are made again."""

from __future__ import annotations

from pathlib import Path

from dsvc.porcelain.tables.row_indexes import RowIndexes
from dsvc.porcelain.tables.table_diff import known_table
from dsvc.table.index.row_index import RowIndex
from tests.porcelain.working import Work


def table(changed: int) -> bytes:
    rows = (f"{n},{'changed' if n == changed else 'row'} {n}\n" for n in range(3000))
    return ("id,text\n" + "".join(rows)).encode()


def index_at(work: Work, rev: str, base: RowIndex | None = None) -> RowIndex:
    known = known_table(work.repo, work.repo.manifest_of(rev).get(b"t.csv"))
    assert known is not None
    return RowIndexes(work.repo).get(known, base)


def digest_at(work: Work, rev: str) -> str:
    entry = work.repo.manifest_of(rev).get(b"t.csv")
    assert entry is not None
    return entry.digest.hex()


def hashes(index: RowIndex) -> list[bytes]:
    return [index.cells()[name].tobytes() for name in ("id", "text")]


def test_a_file_that_was_made_again_is_not_taken_for_the_one_referred_to(work: Work) -> None:
    work.commit("1", {b"t.csv": table(100)})
    work.commit("2", {b"t.csv": table(2900)})
    folder = Path(work.repo.layout.cache) / "rows"
    first = index_at(work, "HEAD~1")
    wanted = hashes(first), hashes(index_at(work, "HEAD", first))
    old, new = (folder / digest_at(work, rev) for rev in ("HEAD~1", "HEAD"))
    assert new.stat().st_size < old.stat().st_size / 4
    # The old file made again, now with little of its own: what the new one shares is elsewhere in it.
    kept = new.read_bytes()
    old.unlink()
    new.unlink()
    alone = index_at(work, "HEAD")
    again = index_at(work, "HEAD~1", alone)
    assert old.stat().st_size < new.stat().st_size / 4
    new.write_bytes(kept)
    assert hashes(again) == wanted[0]
    assert hashes(index_at(work, "HEAD")) == wanted[1]
    assert hashes(index_at(work, "HEAD~1")) == wanted[0]
