"""Packs of git that somebody made up: bombs, deltas on themselves, endless chains, indexes that lie."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from dsvc.history.git_object import object_id
from dsvc.history.git_writer import GitWriter, init_bare
from dsvc.history.loose_reader import LooseReader
from dsvc.history.pack_reader import MAX_CHAIN, PackReader
from dsvc.model.errors import CorruptDataError, DsvcError, MalformedInputError
from dsvc.model.ids import CommitId
from dsvc.testing.faults import tried
from tests.outside import watched
from tests.packkit import BLOB, OFS_DELTA, REF_DELTA, Packed, delta, offset_of, stream, write_pack, zeros
from tests.pygit2_reader import Pygit2Reader

TEN = b"0123456789"
COPY_TEN = b"\x90\x0a"
MUCH = 700 << 20
STEP, STEPS = 8 << 20, 120
COPY_STEP = b"\xc0\x80"


def number(value: int) -> bytes:
    return value.to_bytes(20, "big")


def name(value: int) -> CommitId:
    return CommitId(number(value).hex())


BASE = Packed(number(1), BLOB, 10, stream(TEN))


def on(base: int, made: bytes, at: int = 2) -> Packed:
    return Packed(number(at), REF_DELTA, len(made), stream(made), number(base))


def chain(count: int) -> list[Packed]:
    """Deltas upon deltas; the last one bears the true id of what comes out."""
    made = delta(10, 10, COPY_TEN)
    step = Packed(b"", OFS_DELTA, len(made), stream(made))
    first, other = offset_of(1 + len(BASE.body)), offset_of(2 + len(step.body))
    links = [step._replace(id=number(2), base=first)]
    links += [step._replace(id=number(at), base=other) for at in range(3, count + 2)]
    links[-1] = links[-1]._replace(id=bytes.fromhex(object_id("blob", TEN)))
    return [BASE, *links]


@pytest.fixture(scope="module")
def much() -> bytes:
    return zeros(700)


def bombs(much: bytes) -> dict[str, tuple[list[Packed], CommitId]]:
    plain = delta(10, 10, COPY_TEN)
    large = Packed(number(1), BLOB, STEP, zeros(8))
    swollen = delta(STEP, STEP * STEPS, COPY_STEP * STEPS)
    return {
        "claims 2^40": ([BASE._replace(length=1 << 40)], name(1)),
        "claims 2^63": ([BASE._replace(length=1 << 63)], name(1)),
        "claims 2^200": ([BASE._replace(length=1 << 200)], name(1)),
        "claims 10 MB": ([BASE._replace(length=10 << 20)], name(1)),
        "claims less": ([BASE._replace(length=9)], name(1)),
        "700 MB": ([BASE._replace(length=MUCH, body=much)], name(1)),
        "700 MB under a small length": ([BASE._replace(body=much)], name(1)),
        "a base of 700 MB": (
            [BASE._replace(length=MUCH, body=much), on(1, delta(MUCH, 10, COPY_TEN))],
            name(2),
        ),
        "a delta of 700 MB": ([BASE, on(1, b"")._replace(length=MUCH, body=much)], name(2)),
        "a delta that makes 1 GB": ([large, on(1, swollen)], name(2)),
        "a delta that makes more than it says": (
            [large, on(1, delta(STEP, 10, COPY_STEP * STEPS))],
            name(2),
        ),
        "1 GB on the way": ([large, on(1, swollen), on(2, delta(STEP * STEPS, 10, COPY_TEN), 3)], name(3)),
        "on itself": ([on(2, plain)], name(2)),
        "on each other": ([on(3, plain), on(2, plain, 3)], name(2)),
        "on itself, by offset": (
            [BASE, Packed(number(2), OFS_DELTA, len(plain), stream(plain), b"\0")],
            name(2),
        ),
        "on what is before the pack": (
            [BASE, Packed(number(2), OFS_DELTA, len(plain), stream(plain), offset_of(1 << 40))],
            name(2),
        ),
        "on nothing": ([on(9, plain)], name(2)),
        "cut off": ([BASE, on(1, plain[:1])], name(2)),
        "for another base": ([BASE, on(1, delta(11, 10, COPY_TEN))], name(2)),
        "takes what isn't there": ([BASE, on(1, delta(10, 11, b"\x91\x01\x0a\x01x"))], name(2)),
        "a step that there isn't": ([BASE, on(1, delta(10, 10, b"\0" + COPY_TEN))], name(2)),
        "type 5": ([BASE._replace(kind=5)], name(1)),
        "type 0": ([BASE._replace(kind=0)], name(1)),
        "10^5 deltas": (chain(100_000), object_id("blob", TEN)),
        "other bytes": ([BASE], name(1)),
        "no stream": ([BASE._replace(body=b"no stream")], name(1)),
    }


def bare(folder: Path) -> Path:
    init_bare(str(folder), durable=False)
    return folder


def test_h19_h20_bombs_and_deltas_on_themselves_are_refused(fast_path: Path, much: bytes) -> None:
    cases: dict[str, Callable[[], object]] = {}
    for at, (what, (entries, id_)) in enumerate(bombs(much).items()):
        folder = bare(fast_path / str(at))
        write_pack(folder, entries)
        reader = LooseReader(str(folder), lambda folder=folder: PackReader(str(folder)))  # type: ignore[misc]
        cases[what] = lambda reader=reader, id_=id_: reader.read(id_)  # type: ignore[misc]
    for what, ended in watched(cases, fast_path).items():
        assert isinstance(ended.error, CorruptDataError | MalformedInputError), (what, ended.value)


def test_h20_as_many_deltas_as_git_makes_are_read(tmp_path: Path) -> None:
    write_pack(bare(tmp_path), chain(MAX_CHAIN))
    assert PackReader(str(tmp_path)).read(object_id("blob", TEN)) == ("blob", TEN)
    # In the order of the pack, each delta is applied once: what it makes is kept for the next one.
    reader = PackReader(str(tmp_path))
    for at in range(2, 600):
        with pytest.raises(CorruptDataError):
            reader.read(name(at))


def test_h15_h16_h20_indexes_that_lie(tmp_path: Path) -> None:
    pack = write_pack(bare(tmp_path), [BASE])
    index = pack.with_suffix(".idx")
    whole, id_ = index.read_bytes(), name(1)
    lies = {
        "10^9 objects": whole[:1028] + (10**9).to_bytes(4, "big") + whole[1032:],
        "no objects": whole[:1028] + bytes(4) + whole[1032:],
        "place 2^31 - 1": whole[:1056] + b"\x7f\xff\xff\xff" + whole[1060:],
        "place 0": whole[:1056] + bytes(4) + whole[1060:],
        "a place in a table that there isn't": whole[:1056] + b"\xff\xff\xff\xff" + whole[1060:],
        "version 1": whole[8:],
        "version 3": whole[:7] + b"\3" + whole[8:],
        "empty": b"",
        "cut": whole[:1040],
        "nothing known": bytes(2000),
    }
    for what, data in lies.items():
        index.write_bytes(data)
        with pytest.raises(DsvcError) as caught:
            PackReader(str(tmp_path)).read(id_)
        assert caught.value.exit_code in (30, 31, 41), what
    index.unlink()
    os.mkfifo(index)
    with pytest.raises(DsvcError):
        PackReader(str(tmp_path)).read(id_)
    tried("hostile cases", len(lies) + 1)


def test_h20_of_two_packs_the_one_that_is_right_is_read(tmp_path: Path) -> None:
    true = object_id("blob", TEN)
    raw = bytes.fromhex(true)
    write_pack(bare(tmp_path), [on(1, delta(10, 10, COPY_TEN))._replace(id=raw, base=raw)])
    write_pack(tmp_path, [BASE._replace(id=raw)])
    for _ in range(2):
        assert PackReader(str(tmp_path)).read(true) == ("blob", TEN)
    reader = PackReader(str(tmp_path))
    assert reader.read(true) == ("blob", TEN)
    # Made anew while it is open, as `git gc` does.
    for path in (tmp_path / "objects/pack").iterdir():
        path.unlink()
    write_pack(tmp_path, [BASE._replace(id=raw), BASE._replace(id=number(9))])
    assert reader.read(true) == ("blob", TEN)
    assert reader.expand(true[:8]) == [true]


def packed_by_git(folder: Path, *options: str) -> dict[CommitId, tuple[str, bytes]]:
    """Objects that are much alike, in one pack of git with deltas."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    generator = random.Random(20)
    text = bytearray(generator.randbytes(3000))
    made = []
    for _ in range(150):
        at = generator.randrange(len(text))
        text[at : at + generator.randrange(20)] = generator.randbytes(generator.randrange(30))
        made.append(("blob", bytes(text)))
    ids = GitWriter(str(folder), durable=False).write(made)
    run = ["git", "--git-dir", str(folder)]
    base = str(folder / "objects/pack/pack")
    text_ids = "\n".join(ids).encode()
    subprocess.run(
        [*run, "pack-objects", "-q", *options, base], input=text_ids, check=True, capture_output=True
    )
    subprocess.run([*run, "prune-packed", "-q"], check=True)
    return dict(zip(ids, made, strict=True))


@pytest.mark.parametrize("options", [("--depth=50",), ("--depth=200", "--window=50", "--delta-base-offset")])
def test_what_git_packs_is_read_as_libgit2_reads_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    made = packed_by_git(bare(tmp_path), *options)
    ours, theirs = PackReader(str(tmp_path)), Pygit2Reader(str(tmp_path))
    ids = list(made)
    random.Random(1).shuffle(ids)
    for id_ in ids:
        assert ours.read(id_) == made[id_] == theirs.read(id_)
    assert all(map(ours.has, ids))
    assert ours.expand("a") == theirs.expand("a")


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.soak)])
def test_h20_changed_packs_give_right_bytes_or_typed_errors(fast_path: Path, count: int) -> None:
    made = packed_by_git(bare(fast_path), "--delta-base-offset", "--depth=50")
    (pack,) = (fast_path / "objects/pack").glob("*.pack")
    index = pack.with_suffix(".idx")
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    generator = random.Random(seed)
    whole = {path: path.read_bytes() for path in (pack, index)}
    for path in whole:
        path.chmod(0o644)
    ids = list(made)
    for _ in range(count):
        path = generator.choice((pack, index))
        data = bytearray(whole[path])
        for _ in range(generator.choice((1, 1, 2, 8, 50))):
            data[generator.randrange(len(data))] = generator.randrange(256)
        path.write_bytes(bytes(data[: generator.choice((len(data), generator.randrange(len(data))))]))
        reader = PackReader(str(fast_path))
        for id_ in generator.sample(ids, 5):
            with suppress(DsvcError):
                assert reader.read(id_) == made[id_]
        path.write_bytes(whole[path])
    tried("hostile cases", count)
