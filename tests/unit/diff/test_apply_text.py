"""Patches of text: what git writes is applied as git applies it."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.diff.apply_text import apply_hunks
from dsvc.diff.patch_file import Hunk, parse_patch
from dsvc.diff.patch_format import MalformedPatchError, PatchConflictError, UnsupportedPatchError
from dsvc.diff.text_diff import unified

TEXTS = st.lists(
    st.sampled_from([b"a", b"b", b"", b"-- x", b"c\r", "猫".encode(), b"\xff"]), max_size=30
).flatmap(lambda lines: st.sampled_from([b"\n".join(lines), b"\n".join([*lines, b""])]))


def patch_of(old: bytes, new: bytes) -> bytes:
    lines = unified(old, new, old_name="a/f", new_name="b/f")
    return b"".join(line.encode("utf-8", "surrogateescape") + b"\n" for line in lines)


@given(TEXTS, TEXTS)
def test_there_and_back(old: bytes, new: bytes) -> None:
    if old == new:
        return
    (patch,) = parse_patch(b"diff --git a/f b/f\n" + patch_of(old, new))
    assert (patch.old_path, patch.new_path) == (b"f", b"f")
    assert apply_hunks(old, patch.hunks, "f") == new
    assert apply_hunks(new, patch.reversed().hunks, "f") == old


def by_git(folder: Path, text: bytes, patch: bytes) -> bytes | None:
    (folder / "f").write_bytes(text)
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],
        input=patch, cwd=folder, capture_output=True, check=False,
    )  # fmt: skip
    return (folder / "f").read_bytes() if done.returncode == 0 else None


LINES = [f"{number}".encode() for number in range(1, 25)]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_on_another_text_as_git_does_it(data: st.DataObject) -> None:
    """The file has moved on: lines were added, removed, changed elsewhere."""
    new = list(LINES)
    place = data.draw(st.integers(0, len(new) - 1))
    new[place : place + 1] = data.draw(st.sampled_from([[], [b"x"], [new[place], b"x"]]))
    other = list(LINES)
    for _ in range(data.draw(st.integers(0, 2))):
        at = data.draw(st.integers(0, len(other) - 1))
        other[at : at + 1] = data.draw(st.sampled_from([[], [b"y"], [b"y", other[at]]]))
    text = b"\n".join([*other, b""])
    raw = patch_of(b"\n".join([*LINES, b""]), b"\n".join([*new, b""]))
    if not raw:
        return
    (patch,) = parse_patch(raw)
    try:
        found: bytes | None = apply_hunks(text, patch.hunks, "f")
    except PatchConflictError:
        found = None
    with tempfile.TemporaryDirectory() as folder:
        assert found == by_git(Path(folder), text, b"diff --git a/f b/f\n" + raw)


def test_heads() -> None:
    text = b"""\
From: somebody
diff --git "a/with \\"quotes\\" \\345\\220\\215" "b/with \\"quotes\\" \\345\\220\\215"
old mode 100644
new mode 100755
diff --git a/old name b/new name
similarity index 100%
rename from old name
rename to new name
diff --git a/gone b/gone
deleted file mode 100644
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-x
\\ No newline at end of file
diff --git a/empty b/empty
new file mode 100644
index 0000000..e69de29
"""
    bare_text = b"""\
--- a/bare
+++ b/bare
@@ -1 +1 @@
--- x
+++ y
"""
    mode, moved, gone, empty = parse_patch(text)
    (bare,) = parse_patch(bare_text)
    assert (mode.old_path, mode.old_mode, mode.new_mode) == ('with "quotes" 名'.encode(), 0o100644, 0o100755)
    assert (moved.old_path, moved.new_path, moved.hunks) == (b"old name", b"new name", [])
    assert (gone.new_path, gone.hunks) == (None, [Hunk(1, 0, [b"x"], [])])
    assert (empty.old_path, empty.new_path, empty.new_mode) == (None, b"empty", 0o100644)
    assert bare.hunks == [Hunk(1, 1, [b"-- x\n"], [b"++ y\n"])]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nothing here\n",
        b"--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n a\n",
        b"--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n*b\n",
        b"--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n-b\n+c\n",
        b"diff --git a/f b/f\nnew file mode 160x\n",
        b"diff --dsvc-table a/f b/f\n",
        b"diff --dsvc-table a/f b/f\n{}\n",
        b"diff --dsvc-table a/f b/f\n[1]\n",
        b'diff --dsvc-table a/f b/f\n{"version": 1}\n',
        b"diff --dsvc-table a/f b/f\n" + b"[" * 100_000 + b"\n",
    ],
)
def test_what_is_no_patch(text: bytes) -> None:
    with pytest.raises((MalformedPatchError, UnsupportedPatchError)):
        parse_patch(text)


@pytest.mark.parametrize(
    "text",
    [
        b"diff --git a/f b/f\nindex 1..2 100644\nBinary files a/f and b/f differ\n",
        b"diff --git a/f b/f\nnew file mode 160000\n",
        b'diff --dsvc-table a/f b/f\n{"version": 99}\n',
    ],
)
def test_what_is_not_supported_says_so(text: bytes) -> None:
    with pytest.raises(UnsupportedPatchError):
        parse_patch(text)
