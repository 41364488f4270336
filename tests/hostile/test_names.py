"""F39: names of any bytes: kept byte for byte, through every verb; twins where a file system folds names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dsvc.porcelain.repository import Repository
from dsvc.testing.checker import tree_state
from dsvc.testing.faults import tried
from tests.faultkit import repository, write

NAMES = [
    b"new\nline",
    b"carriage\r",
    b"tab\there",
    b"\x1b[2Jescape",
    b"\xff\xfe not UTF-8",
    b"\xed\xa0\x80surrogate",
    b"n" * 255,
    "数据集".encode() * 28,
    "中文/文件夹/说明 (二).csv".encode(),
    b"-rf",
    b"--all",
    b" leading and trailing ",
    b"100%",
    b"%s%n%00",
    b"quote\"s'and`ticks`",
    b"$(touch canary)",
    b"semi;colon & more | less > out",
    b"star*question?[range]",
    b"back\\slash",
    b"C:colon",
    b"aux.txt",
    b"dot.",
    b"...",
    b"~home",
    b"#hash",
    b"!bang",
    b"@{0}",
    "\u202ertl\u200f".encode(),
    "e\u0301 decomposed".encode(),
    "\u00e9 composed".encode(),
    b"Case",
    b"case",
    b".hidden",
    b"git",
    b"dsvc",
    b"x/.gitignore",
    b"/".join([b"d"] * 60) + b"/deep",
]


@pytest.fixture
def root(fast_path: Path) -> str:
    path = str(fast_path / "repo")
    Repository.init(path)
    return path


def test_f39_names_come_back_byte_for_byte(root: str) -> None:
    contents = {name: b"content of %d\n" % number for number, name in enumerate(NAMES)}
    write(root, contents)
    with repository(root) as repo:
        result = repo.add(all=True)
        assert result.skipped == []
        assert result.added == len(NAMES)
        repo.commit("names")
        assert {entry.path for entry in repo.ls("HEAD", recursive=True) if entry.entry} == set(NAMES)
        for name, data in contents.items():
            with repo.open_file(name, "HEAD") as stream:
                assert stream.read() == data
        before = tree_state(root)
        for name in contents:
            os.remove(os.path.join(os.fsencode(root), name))
        repo.restore([b""])
        assert tree_state(root) == before
        assert repo.status().clean
        assert repo.fsck().ok
        for name in NAMES:
            write(root, {name: b"edited\n"})
            assert repo.add([name]).modified == 1
            repo.restore([name], source="HEAD")
        assert tree_state(root) == before
    tried("hostile cases", len(NAMES))


def test_h4_h5_aliases_of_the_repository_are_named_not_taken(root: str) -> None:
    names = [
        b".DSVC",
        b".Git",
        b".dsvc ",
        b".git.",
        b"dsvc~1",
        b"GIT~1",
        ".d\u200csvc".encode(),
        "．dsvc".encode(),
    ]
    for name in names:
        write(root, {b"sub/" + name + b"/config": b"[core]\n", b"plain" + name[:1]: b"x\n"})
        write(root, {b"file/" + name: b"x\n"} if name != b"GIT~1" else {})
    with repository(root) as repo:
        result = repo.add(all=True)
        skipped = {s.path for s in result.skipped}
        assert {b"sub/" + name for name in names} <= skipped
        assert {b"file/" + name for name in names if name != b"GIT~1"} <= skipped
        assert not any(b"config" in e.path for e in repo.manifest_of("STAGED").entries())
    tried("hostile cases", 2 * len(names))
