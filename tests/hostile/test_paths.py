"""Hostile names, modes and sizes: refused before anything is written; honest names come back byte by byte."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from dsvc.model.encoding import encode
from dsvc.model.errors import DsvcError, MalformedInputError, StorageError
from dsvc.model.manifest import MODE_FILE, MODE_SYMLINK, ChunkRef
from dsvc.model.paths import check_structure
from dsvc.store.chunk_list import write_list
from tests.forgingkit import (
    CONTENT,
    READERS,
    WRITERS,
    Command,
    entry,
    evil_branch,
    plant,
    put_node,
    refused,
)
from tests.outside import watched
from tests.porcelain.working import Work, link, text

# Windows ignores dots and spaces at the end and names streams after a colon; NTFS has short names.
SPELLINGS = [
    spelt + end
    for name in (".dsvc", ".git")
    for spelt in (name, name.upper(), name.title(), name[:2] + name[2:].upper())
    for end in (
        " ",
        ".",
        " . .",
        "...",
        ":",
        ":x",
        "::$DATA",
        "::$INDEX_ALLOCATION",
        ".::$INDEX_ALLOCATION",
        "\\config",
    )
] + [
    spelt + end
    for spelt in ("git~1", "GIT~1", "dsvc~1", "Dsvc~2", "git~12")
    for end in ("", " ", ".", "::$DATA")
]
# What HFS+ leaves out when it compares names.
IGNORED = [*map(chr, (*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF))]
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
    **{f"H4 {name}": name.encode() + b"/x" for name in SPELLINGS},
    "H4 below a backslash": b"a\\.git\\hooks\\post-checkout",
    "H5 zero width non-joiner": ".d\u200csvc/config".encode(),
    "H5 fullwidth": "．ｄｓｖｃ".encode(),
    "H5 byte order mark": "\ufeff.git".encode(),
    **{f"H5 ignored U+{ord(each):04X}": f"a/.g{each}it/x".encode() for each in IGNORED},
    "H5 small capitals": "a/．ｇｉｔ/config".encode(),
    "H5 long s": ".dſvc".encode(),
    "H5 ignored and short": "GIT\u200c~1\ufeff".encode(),
    "H6 NUL": b"a\0b",
    "H6 NUL at the end": b"a.csv\0",
    "H11 too deep": b"/".join([b"d"] * 1001),
    "H11 too long": b"/".join([b"d" * 200] * 21),
    "H11 long name": b"x" * 256,
    "H1 empty": b"",
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


@pytest.mark.parametrize("name", REFUSED)
def test_h1_h2_h3_h4_h5_h6_h11_the_rule(name: str) -> None:
    with pytest.raises(MalformedInputError) as caught:
        check_structure(REFUSED[name])
    assert caught.value.exit_code == 41


def each_refused(work: Work, row: str, step: int = 1) -> None:
    """A branch for each name of a row; readers and writers refuse all of them."""
    names = [name for name in REFUSED if name.startswith(row + " ")][::step]
    commands: dict[str, Command] = {}
    for at, name in enumerate(names):
        branch = f"evil-{at}"
        plant(work, entry(work, REFUSED[name]), branch=branch)
        for verb, command in (READERS | WRITERS).items():
            commands[f"{name}: {verb}"] = lambda repo, command=command, branch=branch: command(repo, branch)
    refused(work, commands)


def test_h1_paths_that_climb_out(work: Work) -> None:
    each_refused(work, "H1")


def test_h2_absolute_paths(work: Work) -> None:
    each_refused(work, "H2")


def test_h3_paths_in_dsvc_and_git(work: Work) -> None:
    each_refused(work, "H3")


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.soak)])
def test_h4_other_spellings_of_dsvc_and_git(work: Work, step: int) -> None:
    each_refused(work, "H4", step)


@pytest.mark.parametrize("step", [4, pytest.param(1, marks=pytest.mark.soak)])
def test_h5_spellings_that_look_alike(work: Work, step: int) -> None:
    each_refused(work, "H5", step)


def test_h6_names_that_are_none(work: Work) -> None:
    each_refused(work, "H6")


def test_h11_paths_too_deep_or_too_long(work: Work) -> None:
    each_refused(work, "H11")


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

    def write() -> None:
        try:
            work.reopen().checkout("evil")
        except StorageError:
            assert work.tree() == {b"kept.txt": text(b"kept\n")} or not work.tree()

    def sizes() -> list[int]:
        return [item.size for item in work.reopen().ls("evil", recursive=True)]

    cases = {"ls": sizes, "status": lambda: work.reopen().status().clean, "checkout": write}
    assert watched(cases, work.folder)["ls"].value == [size]


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


def test_f38_holes_come_back_as_holes(work: Work) -> None:
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
