"""Patterns of paths: in linear time, and the same matches as git and pathspec have."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from dsvc.model.path_patterns import MAX_PATTERN, MAX_PATTERNS, PatternError, path_patterns
from dsvc.testing.faults import tried
from tests.outside import watched

NAMES = st.text("ab文", min_size=1, max_size=6)
PATHS = st.lists(NAMES, min_size=1, max_size=6).map("/".join)
PARTS = st.one_of(
    st.just("**"),
    st.text("ab文*?", min_size=1, max_size=6).filter(lambda text: "**" not in text),
    st.sampled_from(["a*", "*b", "*", "a*b*a", "*a*b*"]),
)
PATTERNS = st.builds(
    lambda head, parts, tail: head + "/".join(parts) + tail,
    st.sampled_from(["", "/", "!"]),
    st.lists(PARTS, min_size=1, max_size=6),
    st.sampled_from(["", "/"]),
)


@given(PATTERNS, st.lists(PATHS, min_size=1, max_size=8), st.booleans())
@example("**/a/**/b", ["a/b/a", "a/x/b", "b/a/b", "a/b", "x/a/y/b/z"], True)
@example("foo", ["foo/a/foo"], True)
def test_they_match_what_pathspec_matches(pattern: str, paths: list[str], folder: bool) -> None:
    ours, theirs = path_patterns([pattern]), GitIgnoreSpec.from_lines([pattern], backend="simple")
    for path in paths:
        name = path + "/" if folder else path
        assert ours.check_file(name).include == theirs.check_file(name).include, (pattern, name)


def test_they_match_what_git_matches(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is missing")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    paths = [
        "a",
        "b",
        "a/b",
        "a/c/b",
        "a/c/d/b",
        "x/a/b",
        "x/a/y/b",
        "ab",
        "a+b",
        "a[b",
        "文/b",
        "b/a/b/a",
        "aab",
    ]
    patterns = [
        "a/**/b",
        "**/a/**/b",
        "**/*a*/**/b",
        "*/b",
        "a*b",
        "*a*b*",
        "[!x]b",
        "a[!x]b",
        "a[+]b",
        "/**/b",
    ]
    patterns += [
        "a/",
        "**/a/**",
        "b/**/b",
        "a?b",
        "**/**/b",
        "*/*/*",
        "[a-b]*",
        "\\a",
        "a\\",
        "[z-a]",
        "文/*",
        "a**b",
    ]
    for pattern in patterns:
        (tmp_path / ".gitignore").write_text(pattern + "\n", encoding="utf-8")
        done = subprocess.run(
            ["git", "-C", str(tmp_path), "check-ignore", "--no-index", "--stdin", "-z"],
            input="\0".join(paths),
            capture_output=True,
            text=True,
            check=False,
        )
        spec = path_patterns([pattern], strict=False)
        assert {path for path in paths if spec.match_file(path)} == set(
            filter(None, done.stdout.split("\0"))
        ), pattern


HOSTILE: dict[str, tuple[str, str]] = {
    "stars": ("a*" * 1500 + "b", "a" * 250),
    "double stars": ("**/a/" * 500 + "b", "a/" * 1500 + "c"),
    "both": ("**/*a*a*/" * 200 + "b", "aaaaaaaaaaaaaaaaaa/" * 200 + "c"),
    "only stars": ("*" * 4000 + "b", "a" * 250),
    "classes": ("[!a]*" * 600 + "b", "c" * 250),
    "question marks": ("*?" * 1000 + "b", "a" * 250),
    "regex": ("(a+)+$", "a" * 250 + "!"),
    "nothing but double stars": ("**/" * 1000 + "x", "a/" * 1000 + "y"),
}


def test_h49_no_pattern_takes_long() -> None:
    def case(pattern: str, name: str) -> Callable[[], object]:
        return lambda: [path_patterns([pattern]).check_file(name).include for _ in range(50)]

    found = watched({name: case(*each) for name, each in HOSTILE.items()})
    assert {name: ended.value for name, ended in found.items()} == {name: [None] * 50 for name in HOSTILE}


def test_h49_too_much_is_refused() -> None:
    for lines in (["a" * (MAX_PATTERN + 1)], ["a"] * (MAX_PATTERNS + 1), ["[z-a]"], ["a\\"]):
        with pytest.raises(PatternError):
            path_patterns(lines)
    with pytest.raises(PatternError):
        path_patterns(["a"] * (MAX_PATTERNS + 1), strict=False)
    assert not path_patterns(["[z-a]", "a\\", "x" * (MAX_PATTERN + 1)], strict=False).match_file("a")
    tried("hostile cases", 6)
