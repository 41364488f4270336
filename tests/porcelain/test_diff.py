"""diff: beside git's own diff of the same trees, and applied with git apply and patch."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.porcelain.state.values import DiffResult
from tests.porcelain.diffing import kind_name, lines_of, status
from tests.porcelain.working import EMPTY_FOLDER, Tree, Work, link, program
from tests.storekit import noise, prose

ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "LC_ALL": "C.UTF-8",
}
for kind in ("AUTHOR", "COMMITTER"):
    ENVIRONMENT |= {f"GIT_{kind}_NAME": "a", f"GIT_{kind}_EMAIL": "a@b"}
Items = Mapping[bytes, tuple[str, bytes] | bytes | None]

BASE: Items = {
    b"same": b"same\n",
    b"edited": b"1\n2\n3\n4\n5\n",
    b"gone": b"a\nb\n",
    b"moved": b"content that moves\n",
    b"mode": b"#!/bin/sh\n",
    b"empty": b"",
    "数据/表.csv".encode(): "名,值\n甲,1\n".encode(),
    b"odd \xff\xfe": b"x\n",
    b"tail": b"no newline",
    b"binary": b"\0\1\2",
    b"link": link(b"same"),
    b"turns": b"file\n",
    b"large": prose(200_000).replace(b" ", b"\n"),
    b"raw": noise(800_000),
}
EDITS: Items = {
    b"edited": b"1\n2\nthree\n4\n5\n6\n",
    b"gone": None,
    b"moved": None,
    b"d/moved here": b"content that moves\n",
    b"mode": program(b"#!/bin/sh\n"),
    b"empty": b"now full\n",
    b"fresh/empty": b"",
    b"fresh/\xe4\xb8\xad.txt": b"new\n",
    "数据/表.csv".encode(): "名,值\n甲,2\n".encode(),
    b"odd \xff\xfe": b"y\n",
    b"tail": b"no newline\nany more",
    b"binary": b"\0\1\2\3",
    b"link": link(b"edited"),
    b"turns": link(b"same"),
    b"large": prose(200_000).replace(b" ", b"\n")[:150_000] + b"inserted\n" + prose(200_000)[150_000:],
    b"raw": noise(800_000)[:400_000] + b"!" + noise(800_000)[400_001:],
}


def patch_of(work: Work, result: DiffResult) -> bytes:
    found = [lines_of(work, change, result) for change in result.changes]
    return b"".join(
        line.encode("utf-8", "surrogateescape") + b"\n" for lines in found for line in lines or []
    )


class Git:
    """The same trees in git."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self("init", "-q")

    def __call__(self, *arguments: str, data: bytes | None = None) -> bytes:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            input=data,
            capture_output=True,
            env=ENVIRONMENT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def commit(self, tree: Tree) -> None:
        self("rm", "-rfq", "--cached", "--ignore-unmatch", ".")
        for path, (kind, content) in tree.items():
            if kind == "folder":
                continue
            mode = {"file": "100644", "exec": "100755", "link": "120000"}[kind]
            blob = self("hash-object", "-w", "--stdin", data=content).decode().strip()
            self("update-index", "--add", "--cacheinfo", f"{mode},{blob},{os.fsdecode(path)}")
        self("commit", "-q", "--allow-empty", "-m", "x")

    def status(self) -> list[tuple[str, ...]]:
        """Name and status; a change of type counts as modified, as it does here."""
        out = self("diff", "--name-status", "-z", "-M100%", "--no-rename-empty", "HEAD~1", "HEAD")
        words = out.split(b"\0")[:-1]
        found: list[tuple[str, ...]] = []
        while words:
            letter = words.pop(0)[:1].decode().replace("T", "M")
            count = 2 if letter == "R" else 1
            found.append((letter, *(os.fsdecode(words.pop(0)) for _ in range(count))))
        return sorted(found)

    def numbers(self) -> dict[str, tuple[int, int] | None]:
        out = self("diff", "--numstat", "-z", "--no-renames", "HEAD~1", "HEAD")
        found: dict[str, tuple[int, int] | None] = {}
        for line in out.split(b"\0")[:-1]:
            added, removed, path = line.split(b"\t", 2)
            found[os.fsdecode(path)] = None if added == b"-" else (int(added), int(removed))
        return found


@pytest.fixture
def changed(work: Work) -> Work:
    """One commit, then edits in the working tree that are staged but for their removal."""
    work.commit("base", BASE)
    work.write(EDITS)
    return work


def revert(work: Work, items: Items) -> Tree:
    """Bring the working tree to `items` and nothing else; returns it."""
    work.write({**dict.fromkeys(work.tree()), **items})
    return work.tree()


def stats(work: Work, result: DiffResult) -> dict[str, tuple[int, int] | None]:
    return {os.fsdecode(c.path): work.repo.diff_stat(c, result) for c in result.changes}


def test_agrees_with_git(changed: Work, tmp_path: Path) -> None:
    git = Git(tmp_path / "git")
    git.commit(revert(changed, BASE))
    changed.commit("edits", EDITS)
    git.commit(changed.tree())
    result = changed.repo.diff("HEAD~1", "HEAD")
    assert status(result) == git.status()
    numbers = git.numbers()
    for path, stat in stats(changed, result).items():
        if path != "d/moved here":
            assert stat == numbers[path], path
    assert result.summary() == {"added": 2, "removed": 1, "modified": 11, "renamed": 1}


SIDES = [
    ("HEAD~1", "HEAD"),
    ("HEAD~1", "STAGED"),
    ("HEAD~1", "WORKTREE"),
    ("HEAD~1", None),
    ("HEAD~1..HEAD", None),
]


@pytest.mark.parametrize(("old", "new"), SIDES)
def test_applied_it_gives_the_new_tree(changed: Work, tmp_path: Path, old: str, new: str | None) -> None:
    before = revert(changed, BASE)
    changed.commit("edits", EDITS)
    after = changed.tree()
    target = Work(tmp_path / "target")
    target.write(before)
    result = changed.repo.diff(old, new)
    git_apply(target, patch_of(changed, result))
    for path in (b"binary", b"raw"):
        assert target.tree()[path] == before[path]
        target.write({path: after[path]})
    assert target.tree() == after


def git_apply(target: Work, patch: bytes) -> None:
    subprocess.run(["git", "init", "-q"], cwd=target.folder, env=ENVIRONMENT, check=True)
    done = subprocess.run(
        ["git", "apply", "--allow-empty", "-"],
        cwd=target.folder,
        input=patch,
        capture_output=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    subprocess.run(["rm", "-rf", ".git"], cwd=target.folder, check=True)


@pytest.mark.parametrize("staged", [False, True])
def test_the_working_tree_before_it_is_stored(changed: Work, tmp_path: Path, staged: bool) -> None:
    """The same patch, whether what is there has been stored or not; the reverse patch leads back."""
    after = changed.tree()
    before = revert(changed, BASE)
    changed.write(EDITS)
    changed.repo.add([b"fresh", b"d/moved here"])
    if staged:
        changed.repo.add(all=True)
    packs = sorted(os.listdir(changed.path(b".dsvc/packs")))
    target = Work(tmp_path / "target")
    for old, new, start, end in (("HEAD", "WORKTREE", before, after), ("WORKTREE", "HEAD", after, before)):
        revert(target, start)
        result = changed.repo.diff(old, new)
        assert (result.source, result.target)[old == "HEAD"] == "WORKTREE"
        git_apply(target, patch_of(changed, result))
        for path in (b"binary", b"raw"):
            target.write({path: end[path]})
        assert target.tree() == end
    assert sorted(os.listdir(changed.path(b".dsvc/packs"))) == packs, "a diff stores nothing"


def test_patch_takes_it_too(work: Work, tmp_path: Path) -> None:
    items = {p: c for p, c in BASE.items() if p in (b"edited", b"gone", b"moved", b"mode", b"tail", b"large")}
    edits = {p: c for p, c in EDITS.items() if p in items or p.startswith((b"d/", b"fresh"))}
    work.commit("base", items)
    before = work.tree()
    work.commit("edits", edits)
    target = Work(tmp_path / "target")
    target.write(before)
    patch = patch_of(work, work.repo.diff("HEAD~1", "HEAD"))
    done = subprocess.run(
        ["patch", "-p1", "-s"], cwd=target.folder, input=patch, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert target.tree() == work.tree()


def test_the_lines_themselves(work: Work) -> None:
    work.commit("1", {"表 一.csv".encode(): b"a\nb\n", b"x": b"1", b'q"\n': b"1\n", b"l": link(b"a")})
    work.write({"表 一.csv".encode(): program(b"a\nc\n"), b"x": None, b'q"\n': b"2\n", b"l": link(b"b")})
    result = work.repo.diff()
    assert [lines_of(work, change, result) for change in result.changes] == [
        [
            "diff --git a/l b/l",
            *("--- a/l", "+++ b/l", "@@ -1 +1 @@"),
            *("-a", "\\ No newline at end of file", "+b", "\\ No newline at end of file"),
        ],
        [
            'diff --git "a/q\\"\\n" "b/q\\"\\n"',
            *('--- "a/q\\"\\n"', '+++ "b/q\\"\\n"', "@@ -1 +1 @@", "-1", "+2"),
        ],
        [
            "diff --git a/x b/x",
            "deleted file mode 100644",
            *("--- a/x", "+++ /dev/null", "@@ -1 +0,0 @@", "-1", "\\ No newline at end of file"),
        ],
        [
            'diff --git "a/表 一.csv" "b/表 一.csv"',
            *("old mode 100644", "new mode 100755"),
            *("--- a/表 一.csv\t", "+++ b/表 一.csv\t", "@@ -1,2 +1,2 @@", " a", "-b", "+c"),
        ],
    ]


def test_what_is_no_text_has_no_lines(work: Work) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(20)
    work.commit("1", {b"b": b"\0", b"i.png": png, b"turns": b"\0", b"e/f": EMPTY_FOLDER})
    work.write({b"b": b"\0\0", b"i.png": png + b"1", b"turns": b"text", b"e/f": None})
    result = work.repo.diff()
    assert [kind_name(change) for change in result.changes] == ["binary", "binary", "image", "text"]
    for change in result.changes:
        assert work.repo.unified_diff(change, result) is None
        assert work.repo.diff_stat(change, result) is None


# Random trees, beside git

names = st.sampled_from([b"a", b"b", "文".encode(), b"a b", b"\xff", b"d/a", b"d/b", b"d/e/f"])
contents = st.lists(st.sampled_from([b"one\n", b"two\n", b"three\n"]), max_size=5).map(b"".join)
kinds = st.sampled_from(["file", "file", "file", "exec"])
trees = st.dictionaries(names, st.tuples(kinds, contents), max_size=6)


@pytest.fixture(scope="module")
def places() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@settings(max_examples=12, deadline=None)
@given(trees, trees)
def test_random_trees_as_git_sees_them(places: Path, old: Tree, new: Tree) -> None:
    folder = Path(tempfile.mkdtemp(dir=places))
    # Equal contents may be paired either way; each file of the old tree is made unlike the others.
    old = {
        path: (kind, b"%d\n" % n + content) for n, (path, (kind, content)) in enumerate(sorted(old.items()))
    }
    work, git = Work(folder / "work"), Git(folder / "git")
    work.commit("old", old)
    git.commit(work.tree())
    work.write(dict.fromkeys(old))
    work.write(new)
    target = Work(folder / "target")
    target.write(old)
    git.commit(new)
    work.repo.add(all=True)
    result = work.repo.diff()
    assert status(result) == git.status()
    git_apply(target, patch_of(work, result))
    assert target.tree() == new


def test_nothing_is_left_open(changed: Work) -> None:
    result = changed.repo.diff()
    before = len(os.listdir("/proc/self/fd"))
    for change in result.changes:
        lines = changed.repo.unified_diff(change, result)
        if lines is not None:
            next(lines)
            next(lines, None)
            del lines
    assert len(os.listdir("/proc/self/fd")) == before
