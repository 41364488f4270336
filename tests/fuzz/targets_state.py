"""What ``.dsvc`` keeps besides: settings, staged and merge state, sparse patterns, notes, and all caches."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import xxhash

from dsvc.cli.environment.identity import parse_value, read_git_config
from dsvc.fs.locks import hold
from dsvc.model.encoding import encode
from dsvc.model.errors import CorruptDataError, LockedError
from dsvc.model.ids import NodeId
from dsvc.model.path_patterns import PatternError, path_patterns
from dsvc.porcelain.policy.detection_cache import DetectionCache
from dsvc.porcelain.state import config, sparse
from dsvc.porcelain.state.moment import parse_moment
from dsvc.porcelain.state.operation_note import read_note
from dsvc.porcelain.state.staging import Staging, write_checked
from dsvc.porcelain.tree import merge_state
from dsvc.porcelain.tree.known_files import load_known
from dsvc.porcelain.tree.merge_state import MergeState, OpenConflict
from dsvc.porcelain.tree.stat_cache import STAT, Shard, StatCache, State
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.layout import Layout
from dsvc.store.memory_backend import MemoryBackend
from tests.fuzz.registry import Form, target
from tests.fuzz.targets_store import _entries

ROOT = b"r" * 32


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """A folder that goes."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def _kept(data: bytes, name: str, path: Path) -> Layout:
    """A layout in which a checksummed file under ``work`` has this body."""
    layout = Layout(str(path))
    os.mkdir(layout.work)
    write_checked(os.path.join(layout.work, name), data, durable=False)
    return layout


_CONFIG = config.render({"repository.format": "1", "user.name": "安", "gc.grace": "14d"})


@target("config", [config.initial(), _CONFIG], runs=700)
def settings(data: bytes) -> None:
    with folder() as path:
        (path / "config").write_bytes(data)
        values = config.parse(str(path / "config"))
        known = config.Config(str(path / "config"))
        list(known.items())
        for key in config.SETTINGS:
            known.get(key)
        known.check_format()
        if all("." not in key.partition(".")[2] and key.replace(".", "").isalnum() for key in values):
            (path / "again").write_bytes(config.render(values))
            assert config.parse(str(path / "again")) == values


@target(
    "staged", [encode(["1" * 40, ROOT, b"s" * 32]), encode([None, ROOT, ROOT])], form=Form.MSGPACK, runs=700
)
def staged(data: bytes) -> None:
    with folder() as path:
        staging = Staging(_kept(data, "staged", path), ChunkStore(MemoryBackend()), durable=False)
        with contextlib.suppress(CorruptDataError):
            assert staging.recorded() is not None
        staging.load(None, NodeId(ROOT))


def _states() -> Sequence[bytes]:
    one, other, *_ = _entries()
    conflict = OpenConflict(path=b"a", kind="content", base=None, ours=one, theirs=other)
    return [encode(MergeState("merge", "1" * 40, "合并", ROOT, [conflict]))]


@target("merge-state", _states, form=Form.MSGPACK, runs=700)
def merge(data: bytes) -> None:
    with folder() as path:
        layout = _kept(data, "merge", path)
        found = merge_state.load(layout)
        assert found is not None
        assert list(map(merge_state.summary, found.conflicts)) is not None
        merge_state.save(layout, found, durable=False)
        assert merge_state.load(layout) == found


@target("sparse", [encode(["/data/**", "!*.tmp"]), encode([])], form=Form.MSGPACK, runs=700)
def sparse_patterns(data: bytes) -> None:
    with folder() as path:
        layout = _kept(data, "sparse", path)
        found = sparse.load(layout)
        assert found is not None
        for each in (b"data/a", b"", "图/b".encode(), b"\xff/x.tmp"):
            found.includes(each)
        sparse.save(layout, found.patterns, durable=False)
        again = sparse.load(layout)
        assert ([] if again is None else again.patterns) == found.patterns


@target("ignore-file", ["# 数据\n*.tmp\n!keep.tmp\n/build/\n**/a/**/b[0-9]?\n\\!x\n".encode()], runs=300)
def ignore_file(data: bytes) -> None:
    lines = data.decode("utf-8", "surrogateescape").splitlines()
    with contextlib.suppress(PatternError):
        path_patterns(lines)
    found = path_patterns(lines, strict=False)
    for each in ("a/x/b1z", "build/", "图.tmp", "\udcff", "a" * 200, "a/" * 60 + "b"):
        found.check_file(each)


_NOTE = "worktree=" + "1" * 64 + ".." + "2" * 64 + " merge=none run=" + "3" * 64


@target("operation-note", [_NOTE.encode(), b"worktree", b"merge=" + b"4" * 64, b"for people"])
def operation_note(data: bytes) -> None:
    note = read_note(data.decode("utf-8", "replace"))
    list(note.roots())
    again = read_note(note.text())
    assert again.text() == note.text()


@target("moment", [b"2026-11-22", b"2026-11-22T12:00:00+08:00", b"0001-01-01T00:00:00Z"])
def moment(data: bytes) -> None:
    found = parse_moment(data.decode("utf-8", "surrogateescape"))
    assert found.day
    parse_moment(found.day)


_GIT_CONFIG = b'[user]\n\tname = "\xe5\xae\x89 \\"A\\"" ; x\n[include]\npath = other\n[a "b\\"c"]\nd\n'


@target("git-config", [_GIT_CONFIG], runs=400)
def git_config(data: bytes) -> None:
    """That of the user, where a name and an address stand; it includes itself."""
    with folder() as path:
        (path / "other").write_bytes(data)
        list(read_git_config(str(path / "other"), str(path)))
        parse_value(data.decode("utf-8", "replace"))


# Caches: what can't be read is made again


def _cached(data: bytes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(xxhash.xxh3_64_digest(data) + data)


def _shards() -> Sequence[bytes]:
    rows = [(each.path, STAT.pack(n, 1, 2, 3, 4), encode(each)) for n, each in enumerate(_entries())]
    return [Shard.build(b"", rows).encode()[8:], Shard.build(b"", []).encode()[8:]]


@target("stat-shard", _shards, form=Form.MSGPACK, runs=700)
def stat_shard(data: bytes) -> None:
    with folder() as path:
        _cached(data, path / "stat" / xxhash.xxh3_128_hexdigest(b"")[:2] / xxhash.xxh3_128_hexdigest(b"")[2:])
        cache = StatCache(str(path))
        shard = cache.shard(b"")
        if shard is not None:
            assert len(shard.name_list()) == len(shard.entries()) == len(list(shard.rows()))
            cache.edit(b"", [(b"new", STAT.pack(0, 0, 0, 0, 0), _entries()[0])])


@target("stat-state", [encode(State(ROOT, [b"", b"a"], [b"empty"], 3))], form=Form.MSGPACK, runs=500)
def stat_state(data: bytes) -> None:
    with folder() as path:
        _cached(data, path / "stat" / "state")
        StatCache(str(path)).state(NodeId(ROOT))


def _known() -> Sequence[bytes]:
    return [encode([[STAT.pack(n, 1, 2, 3, 4), each] for n, each in enumerate(_entries())])]


@target("known-files", _known, form=Form.MSGPACK, runs=700)
def known_files(data: bytes) -> None:
    with folder() as path:
        _cached(data, path / "known")
        for name, known in load_known(str(path)).items():
            assert known.entry.path == name


def _detections() -> Sequence[bytes]:
    from dsvc.model.detection import Detection, DetectionStatus, encode_detection

    found = Detection(
        detector="pii", version="1", config="", input=b"k" * 36, status=DetectionStatus.UNKNOWN, reason="理由"
    )
    return [encode([["pii", "1", ""], b"k" * 72, [[b"q" * 36, encode_detection(found)]]])]


@target("detection-cache", _detections, form=Form.MSGPACK, runs=700)
def detection_cache(data: bytes) -> None:
    with folder() as path:
        cache = DetectionCache(str(path), "pii", "1", "")
        _cached(data, Path(cache._path))
        said = cache.load()
        assert (b"k" * 36 in said.clean) in (True, False)
        assert all(isinstance(key, bytes) for key in said.found)
        cache.save(said)
        again = cache.load()
        assert (set(again.clean), again.found) == (set(said.clean), said.found)


@target("lock-holder", [b'{"pid": 7}', b""], runs=500)
def lock_holder(data: bytes) -> None:
    """Who holds a lock, as the message of somebody else's refusal has it."""
    with folder() as path, open(path / "lock", "wb+") as file:
        file.write(data)
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        with contextlib.suppress(LockedError), hold(str(path / "lock"), what="store", timeout=0):
            raise AssertionError("a lock that is held was taken")
