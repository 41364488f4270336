"""Different content with equal XXH3-128 stays different content."""

from __future__ import annotations

import json
import random
from pathlib import Path

import blake3
import pytest
import xxhash

from dsvc.model.errors import CorruptDataError
from dsvc.model.ids import CommitId
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.memory_backend import MemoryBackend
from dsvc.testing.faults import tried
from dsvc.testing.forgery import MIN_BYTES, known_pair, twin
from tests.hostile.test_malformed import bounded
from tests.porcelain.working import Tree, Work, text

PAIRS = 120


def message(number: int) -> bytes:
    """Prose or noise, of lengths around every edge: one block, several, tails of all sizes."""
    generator = random.Random(number)
    length = 1024 * generator.choice((1, 1, 2, 3, 5)) + generator.choice((64, 65, 100, 512, 1023, 1024))
    if number % 2:
        return generator.randbytes(length)
    return "".join(f"{i},{generator.random()}\n" for i in range(length)).encode()[:length]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path / "data")


@pytest.fixture(scope="module")
def pairs() -> list[tuple[bytes, bytes]]:
    made = [known_pair()]
    for number in range(PAIRS - 1):
        original = message(number)
        made.append((original, twin(original, b"row %d of the twin\n" % number)))
    return made


def names(pairs: list[tuple[bytes, bytes]], side: int, folder: bytes = b"data") -> dict[bytes, bytes]:
    return {b"%s/%03d.bin" % (folder, i): pair[side] for i, pair in enumerate(pairs)}


def as_tree(files: dict[bytes, bytes]) -> Tree:
    return {path: text(data) for path, data in files.items()}


def contents(work: Work, rev: CommitId) -> Tree:
    manifest = work.repo.manifest_of(str(rev))
    found: Tree = {}
    for entry in manifest.entries():
        with work.repo.open(entry.path, str(rev)) as file:
            found[entry.path] = text(file.read())
    return found


def events(work: Work) -> list[dict[str, object]]:
    audit = Path(work.repo.layout.audit)
    return [json.loads(line) for line in audit.read_bytes().splitlines()] if audit.exists() else []


def collect_and_check(work: Work) -> None:
    """Drop what the caches know, collect with no grace, read everything."""
    work.reopen().gc(grace_seconds=0)
    assert work.reopen().fsck(read_data=True).exit_code == 0


def test_the_pairs_are_forged(pairs: list[tuple[bytes, bytes]]) -> None:
    assert len(pairs) >= 100
    assert xxhash.xxh3_128_hexdigest(pairs[0][0]) == "a6d52905f1228d30f261d28d58b43e54"
    assert xxhash.xxh3_64_digest(pairs[0][0]) == xxhash.xxh3_64_digest(pairs[0][1])
    for one, other in pairs:
        assert one != other
        assert len(one) == len(other)
        assert xxhash.xxh3_128_digest(one) == xxhash.xxh3_128_digest(other)
    assert len({blake3.blake3(data).digest() for pair in pairs for data in pair}) == 2 * len(pairs)


@pytest.mark.parametrize("length", [0, 256, MIN_BYTES - 1, 2048 + 63])
def test_a_message_that_leaves_no_room_is_said_so(length: int) -> None:
    with pytest.raises(ValueError, match="no twin"):
        twin(bytes(length), b"")


def test_twins_side_by_side(work: Work, pairs: list[tuple[bytes, bytes]]) -> None:
    both = names(pairs, 0, b"one") | names(pairs, 1, b"other")
    commit = work.commit("both", both)
    collided = [event for event in events(work) if event["event"] == "hash-collision"]
    assert len(collided) >= len(pairs)
    assert {event["xxh3"] for event in collided} == {xxhash.xxh3_128_hexdigest(one) for one, _ in pairs}
    collect_and_check(work)
    assert contents(work, commit) == as_tree(both)
    work.write(dict.fromkeys(both))
    work.repo.restore([b""], source="HEAD")
    assert work.tree() == as_tree(both)
    tried("forged pairs", len(pairs))


def test_one_becomes_the_other_at_its_path(work: Work, pairs: list[tuple[bytes, bytes]]) -> None:
    before = work.commit("originals", names(pairs, 0))
    work.write(names(pairs, 1))
    status = work.reopen().status()
    assert len(status.unstaged) == len(pairs)
    after = work.commit("twins")
    assert len(work.repo.diff(str(before), str(after)).changes) == len(pairs)
    assert [event["event"] for event in events(work)].count("hash-collision") == len(pairs)
    for rev, side in ((before, 0), (after, 1), (before, 0)):
        work.reopen().checkout(str(rev))
        assert work.tree() == as_tree(names(pairs, side))
        assert work.clean()
        collect_and_check(work)
    assert contents(work, after) == as_tree(names(pairs, 1))
    tried("forged pairs", len(pairs))


def test_h14_a_twin_that_was_first_does_not_keep_the_original_out(
    work: Work, pairs: list[tuple[bytes, bytes]]
) -> None:
    """Someone stored the forgery before: the original is stored all the same (H14)."""
    work.commit("forged", names(pairs, 1, b"theirs"))
    added = work.commit("original", {**names(pairs, 0, b"mine"), **dict.fromkeys(names(pairs, 1, b"theirs"))})
    collect_and_check(work)
    assert contents(work, added) == as_tree(names(pairs, 0, b"mine"))
    tried("forged pairs", len(pairs))


def test_a_twin_is_no_rename_and_no_repair(work: Work, pairs: list[tuple[bytes, bytes]]) -> None:
    """A twin elsewhere counts as other content for renames, stash and undo."""
    one, other = pairs[1]
    work.commit("one", {b"a.bin": one})
    changed = work.commit("moved", {b"a.bin": None, b"b.bin": other})
    kinds = [change.kind.value for change in work.repo.show(str(changed)).changes]
    assert sorted(kinds) == ["added", "removed"]
    work.write({b"b.bin": one})
    work.reopen().stash()
    assert work.tree() == {b"b.bin": text(other)}
    work.repo.stash_pop()
    assert work.tree() == {b"b.bin": text(one)}
    work.reopen().reset("HEAD", None, [])
    work.repo.restore([b"b.bin"])
    assert work.tree() == {b"b.bin": text(other)}
    work.repo.undo()
    assert work.tree() == {b"b.bin": text(one)}


def test_h13_a_chunk_that_matches_by_xxh3_alone_is_refused(pairs: list[tuple[bytes, bytes]]) -> None:
    """A store that answers with the twin is caught by BLAKE3 (H13)."""
    for one, other in pairs[:20]:
        store = ChunkStore(MemoryBackend())
        id_ = blake3.blake3(one).digest()
        store.put_chunk(id_, other, raw=True)
        store.publish()
        tried("forged pairs")
        bounded(lambda store=store, id_=id_: store.get(id_), CorruptDataError)  # type: ignore[misc]
