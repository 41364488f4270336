"""Hostile names, modes and sizes: refused before anything is written; honest names come back byte by byte."""

from __future__ import annotations

import os
import socket
import stat
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import blake3
import pytest
import xxhash

from dsvc.model.encoding import encode, hash_object
from dsvc.model.errors import DsvcError, MalformedInputError, StorageError
from dsvc.model.ids import NodeId
from dsvc.model.manifest import MODE_FILE, MODE_SYMLINK, ChunkRef, Entry
from dsvc.model.paths import check_structure
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from dsvc.store.block import ItemType
from dsvc.store.chunk_list import write_list
from dsvc.store.manifest_tree import encode_node
from tests.porcelain.working import Work, link, text

CONTENT = b"content\n"
REFUSED: dict[str, bytes] = {
    "H1 climbs out": b"../x",
    "H1 climbs out inside": b"a/../../x",
    "H1 dot": b"a/./b",
    "H1 ends in dots": b"a/..",
    "H2 absolute": b"/etc/x",
    "H2 two slashes": b"//srv/x",
    "H2 empty component": b"a//b",
    "H2 trailing slash": b"a/",
    "H3 dsvc": b".dsvc/config",
    "H3 git hook": b".git/hooks/post-checkout",
    "H3 deep": b"a/b/.dsvc/git/config",
    "H4 case": b".DSVC/config",
    "H4 trailing dot": b".dsvc./config",
    "H4 trailing space": b".dsvc /config",
    "H4 short name of dsvc": b"dsvc~1/config",
    "H4 short name of git": b"GIT~1",
    "H4 stream": b".dsvc::$INDEX_ALLOCATION",
    "H5 zero width non-joiner": ".d\u200csvc/config".encode(),
    "H5 fullwidth": "．ｄｓｖｃ".encode(),
    "H5 byte order mark": "\ufeff.git".encode(),
    "H6 NUL": b"a\0b",
    "H11 too deep": b"/".join([b"d"] * 1001),
    "H11 too long": b"/".join([b"d" * 200] * 21),
    "long name": b"x" * 256,
    "empty": b"",
}
HONEST: list[bytes] = [
    b"new\nline",
    b"carriage\rreturn\r",
    b"\x1b[2J",
    b"\xff\xfe",
    b"latin-\xe9",
    b"x" * 255,
    "数据/说明.csv".encode(),
    b"-rf",
    b" leading",
    b"trailing ",
    b"dot.",
    b"100%s%n",
    b"back\\slash",
    b"C:x",
    b"con",
    b"*?",
    "\u202etxt.exe".encode(),
    "é".encode(),
    "e\u0301".encode(),
    b"A",
    b"a",
    b"git",
    b".gitignored",
    b"/".join([b"d"] * 60),
]


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = Work(tmp_path / "parent" / "data")
    (work.folder.parent / "x").write_bytes(b"precious")
    work.commit("honest", {b"kept.txt": b"kept\n"})
    return work


def entry(work: Work, path: bytes, content: bytes = CONTENT, **changes: object) -> Entry:
    digest = blake3.blake3(content).digest()
    work.repo.store.put_chunk(digest, content, raw=False)
    values = {
        "path": path,
        "mode": MODE_FILE,
        "size": len(content),
        "digest": digest,
        "xxh3": xxhash.xxh3_128_digest(content),
        **changes,
    }
    return Entry(**values)  # type: ignore[arg-type]


def put_node(work: Work, data: bytes) -> NodeId:
    root = hash_object("node", data, NodeId)
    work.repo.store.put_object(root, data, ItemType.NODE)
    work.repo.store.publish()
    return root


def evil_branch(work: Work, root: NodeId) -> None:
    """Branch `evil`, whose one commit points at a manifest that no dsvc writes."""
    repo, who = work.repo, work.repo.signature()
    with repo.changing():
        prepared = repo.history.commit(
            parents=[repo.history.refs.head().commit],  # type: ignore[list-item]
            manifest=root,
            files=1,
            bytes=1,
            message="evil",
            author=who,
            committer=who,
            branch="refs/heads/evil",
            expected=None,
        )
        repo.record("commit", changes=prepared.changes, objects=prepared.objects)
    work.reopen()


def plant(work: Work, *entries: Entry) -> None:
    evil_branch(work, put_node(work, encode_node(0, [encode(item) for item in entries])))


def outside(work: Work) -> dict[str, tuple[int, bytes]]:
    """All that is there, but for the repository itself."""
    found: dict[str, tuple[int, bytes]] = {}
    for folder, names, files in os.walk(work.folder.parent.parent):
        if ".dsvc" in names and folder == str(work.folder):
            names.remove(".dsvc")
        for name in [*names, *files]:
            path = os.path.join(folder, name)
            mode = os.lstat(path).st_mode
            found[path] = (mode, Path(path).read_bytes() if stat.S_ISREG(mode) else b"")
    return found


WRITERS: dict[str, Callable[[Repository], object]] = {
    "checkout": lambda repo: repo.checkout("evil"),
    "checkout forced": lambda repo: repo.checkout("evil", force=True),
    "restore": lambda repo: repo.restore([b""], source="evil"),
    "reset": lambda repo: repo.reset("evil", ResetMode.HARD),
    "merge": lambda repo: repo.merge("evil"),
    "cherry-pick": lambda repo: repo.cherry_pick("evil"),
    "archive": lambda repo: repo.archive("evil", os.path.join(repo.layout.temporary, "out.tar")),
}
READERS: dict[str, Callable[[Repository], object]] = {
    "ls": lambda repo: list(repo.ls("evil", recursive=True)),
    "cat": lambda repo: repo.open(b"kept.txt", "evil").read(),
    "diff": lambda repo: repo.diff("HEAD", "evil"),
}


def refused(
    work: Work, commands: dict[str, Callable[[Repository], object]], codes: Sequence[int] = (41,)
) -> None:
    """Each command is refused soon, and nothing is written by any."""
    before, head = outside(work), work.repo.history.refs.head()
    for name, command in commands.items():
        began = time.monotonic()
        with pytest.raises(DsvcError) as caught:
            command(work.reopen())
        assert caught.value.exit_code in codes, f"{name}: {caught.value!r}"
        assert time.monotonic() - began < 5, name
        assert outside(work) == before, name
        assert work.repo.history.refs.head() == head, name


@pytest.mark.parametrize("name", REFUSED)
def test_h1_h2_h3_h4_h5_h6_h11_the_rule(name: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        check_structure(REFUSED[name])
    assert caught.value.exit_code == 41


@pytest.mark.parametrize("name", REFUSED)
def test_h1_h2_h3_h4_h5_h6_h11_no_verb_takes_such_a_manifest(work: Work, name: str) -> None:
    plant(work, entry(work, REFUSED[name]))
    refused(work, READERS | WRITERS)


@pytest.mark.parametrize("mode", [0o104755, 0o102755, 0o101644, 0o060644, 0o020644, 0o010644, 0o100777, 0])
def test_h12_modes(work: Work, mode: int) -> None:
    plant(work, entry(work, b"a", mode=mode))
    refused(work, READERS | WRITERS)


@pytest.mark.parametrize("size", [1 << 63, (1 << 64) - 1, -1, (1 << 56) + 1, 1e300, "8"])
def test_h15_sizes(work: Work, size: object) -> None:
    plant(work, entry(work, b"a", size=size))
    refused(work, READERS | WRITERS)


@pytest.mark.parametrize("count", [b"\xdd" + (10**9).to_bytes(4, "big"), b"\xdc\xff\xff", b"\x95"])
def test_h16_lying_counts(work: Work, count: bytes) -> None:
    evil_branch(work, put_node(work, b"\x92\x00" + count + encode(entry(work, b"a"))))
    refused(work, READERS | WRITERS)


@pytest.mark.parametrize("below", [MODE_FILE, MODE_SYMLINK])
def test_h7_h11_a_file_below_a_file_or_link(work: Work, below: int) -> None:
    first = entry(work, b"a", b"../..", mode=below)
    plant(work, first, entry(work, b"a/x"), entry(work, b"a/y"))
    writers = {name: run for name, run in WRITERS.items() if name not in ("archive", "cherry-pick")}
    refused(work, writers, (41, 15, 16))
    with suppress(DsvcError):  # a merge may set one of the two aside, as where both sides are honest
        work.repo.cherry_pick("evil")
    assert sorted(os.listdir(work.folder.parent)) == ["data", "x"]
    assert (work.folder.parent / "x").read_bytes() == b"precious"


def test_h7_an_archive_has_no_file_below_a_link(work: Work) -> None:
    plant(work, entry(work, b"a", b"../..", mode=MODE_SYMLINK), entry(work, b"a/x"))
    refused(work, {"archive": WRITERS["archive"]})


@pytest.mark.parametrize(("one", "other"), [(b"A", b"a"), ("e\u0301".encode(), "é".encode())])
def test_h10_twins_where_names_fold(work: Work, one: bytes, other: bytes) -> None:
    plant(work, entry(work, one), entry(work, other))
    work.repo.config.set("core.portableNames", "true")
    writers = {name: WRITERS[name] for name in ("checkout", "checkout forced", "restore", "reset", "merge")}
    refused(work, writers, (15, 41))


@pytest.mark.parametrize("path", [b"a\nb", b"a\r", b"\x1b[2J", b"C:x", b"\\\\srv\\x", b"con", b"a.", b"\xff"])
def test_h2_h6_names_that_other_systems_refuse(work: Work, path: bytes) -> None:
    """Data here; refused before anything is written where portable names are wanted."""
    plant(work, entry(work, path))
    work.repo.config.set("core.portableNames", "true")
    refused(work, {"checkout": WRITERS["checkout"], "restore": WRITERS["restore"]}, (15, 41))
    work.repo.config.set("core.portableNames", "false")
    work.reopen().checkout("evil")
    assert work.tree() == {path: text(CONTENT)}


@pytest.mark.parametrize("size", [len(CONTENT) * 2 - 1, len(CONTENT) * 2 + 1, 1, 1 << 50])
def test_h17_a_chunk_list_of_another_length(work: Work, size: int) -> None:
    one = entry(work, b"a")
    chunks = write_list(work.repo.store, [ChunkRef(len(CONTENT), one.digest)] * 2)
    plant(work, entry(work, b"a", size=size, chunks=bytes(chunks)))
    before = (work.folder.parent / "x").read_bytes()
    for name in ("restore", "checkout", "reset"):
        with pytest.raises(DsvcError) as caught:
            WRITERS[name](work.reopen())
        assert caught.value.exit_code in (41, 30, 33), name
        assert b"a" not in work.tree(), name
    assert sorted(os.listdir(work.folder.parent)) == ["data", "x"]
    assert (work.folder.parent / "x").read_bytes() == before


def test_h18_a_file_of_a_petabyte(work: Work) -> None:
    """Listed without being expanded; written only where the file system holds it."""
    size = 1 << 54
    chunks = write_list(
        work.repo.store, [ChunkRef(size // 1000)] * 999 + [ChunkRef(size - size // 1000 * 999)]
    )
    plant(work, entry(work, b"a", size=size, chunks=bytes(chunks)))
    began = time.monotonic()
    assert [item.size for item in work.repo.ls("evil", recursive=True)] == [size]
    try:
        work.repo.checkout("evil")
    except StorageError:
        assert work.tree() == {b"kept.txt": text(b"kept\n")} or not work.tree()
    assert time.monotonic() - began < 5


def test_h6_honest_names_come_back(work: Work) -> None:
    files = {path: path + b"\n" for path in HONEST}
    work.commit("names", files)
    expected = {**{path: text(data) for path, data in files.items()}, b"kept.txt": text(b"kept\n")}
    assert work.tree() == expected
    work.repo.remove([b""], recursive=True)
    assert work.tree() == {}
    work.reopen().restore([b""], source="HEAD")
    assert work.tree() == expected
    work.reopen().restore([b""], source="HEAD", staged=True)
    assert work.clean()


@pytest.mark.parametrize("name", [b".DSVC", b"git~1", b"dsvc~1", b".dsvc ", ".d\u200csvc".encode()])
def test_h4_h5_names_that_are_not_taken_are_told(work: Work, name: bytes) -> None:
    work.write({name: b"x", b"honest.txt": b"x"})
    result = work.repo.add(all=True)
    assert [skipped[0] for skipped in result.skipped] == [name]
    assert set(work.staged_state()) == {b"honest.txt", b"kept.txt"}


def test_h12_what_is_no_file_is_told(work: Work) -> None:
    folder = work.folder
    os.mkfifo(folder / "fifo")
    expected = {b"fifo", b"socket"}
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(folder, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket")
        os.close(here)
        if os.geteuid() == 0:
            try:
                os.mknod(folder / "device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
                expected.add(b"device")
            except OSError:
                pass
        else:
            (folder / "locked").write_bytes(b"x")
            (folder / "locked").chmod(0)
            expected.add(b"locked")
        result = work.repo.add(all=True)
    assert {skipped[0] for skipped in result.skipped} == expected
    assert set(work.staged_state()) == {b"kept.txt"}


def test_h9_links_of_every_kind_are_data(work: Work) -> None:
    links = {
        b"loop": link(b"loop"),
        b"loop1": link(b"loop2"),
        b"loop2": link(b"loop1"),
        b"here": link(b"."),
        b"dangling": link(b"no/where"),
        b"absolute": link(b"/etc/passwd"),
        b"up": link(b"../../.."),
        b"bytes": link(b"\xff\n"),
    }
    work.commit("links", links)
    os.link(work.folder / "kept.txt", work.folder / "hard")
    commit = work.commit("hard")
    before = work.tree()
    work.write(dict.fromkeys(before))
    work.reopen().restore([b""], source=str(commit))
    assert work.tree() == before == {**links, b"kept.txt": text(b"kept\n"), b"hard": text(b"kept\n")}
    assert (work.folder / "kept.txt").stat().st_nlink == 1


def test_holes_come_back_as_holes(work: Work) -> None:
    size = 64 << 20
    with (work.folder / "sparse").open("wb") as file:
        file.write(b"start")
        file.seek(size - 3)
        file.write(b"end")
    if (work.folder / "sparse").stat().st_blocks * 512 > size // 2:
        pytest.skip("this file system keeps no holes")
    work.commit("sparse")
    (work.folder / "sparse").unlink()
    work.reopen().restore([b"sparse"])
    found = (work.folder / "sparse").stat()
    assert found.st_size == size
    assert found.st_blocks * 512 < size // 8
    with (work.folder / "sparse").open("rb") as file:
        assert file.read(8) == b"start\0\0\0"
        file.seek(size - 5)
        assert file.read() == b"\0\0end"
