"""Merges of texts, beside those of git."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.diff.text_merge import merge3

texts = st.builds(
    lambda lines, end: "".join(f"{line}\n" for line in lines).encode() + end,
    st.lists(st.sampled_from("abcdef"), max_size=12),
    st.sampled_from([b"", b"", b"last"]),
)


def git_merge(folder: Path, base: bytes, ours: bytes, theirs: bytes) -> tuple[bytes, int]:
    for name, data in (("ours", ours), ("base", base), ("theirs", theirs)):
        (folder / name).write_bytes(data)
    done = subprocess.run(
        ["git", "merge-file", "-p", "--diff3", "ours", "base", "theirs"],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert 0 <= done.returncode < 128, done.stderr
    return done.stdout, done.returncode


def changed(lines: list[bytes], chance: random.Random, edits: int, fresh: str) -> list[bytes]:
    lines = list(lines)
    for number in range(edits):
        position = chance.randrange(len(lines) + 1)
        removed = chance.choice([0, 0, 1, 1, 2, 5])
        added = [b"%s %d %d\n" % (fresh.encode(), number, k) for k in range(chance.choice([0, 1, 1, 3]))]
        lines[position : position + removed] = added
    return lines


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.parametrize("seed", range(150))
def test_merges_are_those_of_git(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    length = chance.choice([0, 3, 20, 200])
    base = [b"line %d\n" % number for number in range(length)]
    edits = chance.choice([1, 2, 4])
    ours = changed(base, chance, edits, "ours" if seed % 3 else "same")
    theirs = changed(base, chance, edits, "theirs" if seed % 3 else "same")
    if seed % 5 == 0 and ours:
        ours[-1] = ours[-1].rstrip(b"\n")
    if seed % 7 == 0 and length:
        base, ours, theirs = (
            [line.replace(b"\n", b"\r\n") for line in side] for side in (base, ours, theirs)
        )
    whole = [b"".join(side) for side in (base, ours, theirs)]
    assert merge3(*whole) == git_merge(tmp_path, *whole)


@given(texts, texts)
@settings(max_examples=300, deadline=None)
def test_a_side_that_did_nothing_agrees(base: bytes, ours: bytes) -> None:
    assert merge3(base, ours, base) == (ours, 0)
    assert merge3(base, base, ours) == (ours, 0)
    assert merge3(base, ours, ours) == (ours, 0)
    assert merge3(base, base, base) == (base, 0)


@given(texts, texts, texts)
@settings(max_examples=500, deadline=None)
def test_merge_is_symmetric(base: bytes, ours: bytes, theirs: bytes) -> None:
    one, conflicts = merge3(base, ours, theirs)
    other, conflicts_other = merge3(base, theirs, ours)
    assert conflicts == conflicts_other
    if not conflicts:
        assert one == other


def test_conflicts_show_all_three() -> None:
    merged, conflicts = merge3(
        b"a\nb\nc\n",
        b"a\nours\nc\n",
        b"a\ntheirs\nc\n",
        ours_name="HEAD",
        base_name="1f2e",
        theirs_name="数据",
    )
    assert conflicts == 1
    assert merged.decode() == "a\n<<<<<<< HEAD\nours\n||||||| 1f2e\nb\n=======\ntheirs\n>>>>>>> 数据\nc\n"


def test_a_missing_last_newline_does_not_glue_markers_to_text() -> None:
    merged, conflicts = merge3(b"a", b"b", b"c")
    assert conflicts == 1
    assert merged == b"<<<<<<< ours\nb\n||||||| base\na\n=======\nc\n>>>>>>> theirs\n"


def test_a_name_cannot_fake_a_marker() -> None:
    merged, _ = merge3(b"a\n", b"b\n", b"c\n", ours_name="x\n=======\n")
    assert merged.count(b"\n=======\n") == 1


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_clean_merges_of_repeated_lines_are_those_of_git(tmp_path: Path) -> None:
    chance = random.Random(7)
    clean = 0
    for _ in range(200):
        distinct = chance.choice([8, 30])
        base = [b"line %d\n" % chance.randrange(distinct) for _ in range(30)]
        sides = [b"".join(base), *(b"".join(repeated(base, chance, distinct)) for _ in range(2))]
        merged, conflicts = merge3(*sides)
        of_git, conflicts_of_git = git_merge(tmp_path, *sides)
        if not conflicts and not conflicts_of_git:
            clean += 1
            assert merged == of_git
    assert clean > 100


def repeated(lines: list[bytes], chance: random.Random, distinct: int) -> list[bytes]:
    lines = list(lines)
    for _ in range(chance.choice([1, 2])):
        position = chance.randrange(len(lines))
        added = [b"line %d\n" % chance.randrange(distinct) for _ in range(chance.randrange(3))]
        lines[position : position + chance.randrange(3)] = added
    return lines
