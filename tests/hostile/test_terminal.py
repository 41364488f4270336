"""Nothing that somebody else wrote commands the terminal: names, messages, authors, contents.

Run on a pseudo-terminal, where colours are wanted, and in a pipe. dsvc's own colours are the only escape
sequences that may come out.
"""

from __future__ import annotations

import base64
import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COLOR = re.compile(rb"\x1b\[[0-9;]*m")
# What dsvc writes itself: line ends (a terminal driver makes CR LF of them), tabulators, colours.
CONTROL = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)

EVIL_NAMES = [
    b"\x1b[2J\x1b[H.txt",
    b"\x1b]0;owned\x07.txt",
    b"new\nline.txt",
    b"carriage\rreturn.txt",
    b"\x9b31m.txt",
    "c1\u009b31m.txt".encode(),
    "rtl\u202etxt.exe".encode(),
    b"latin-\xe9.txt",
    b"<script>alert(1).txt",
    b'"quoted".txt',
    b"-rf",
    b"--json",
    "说明\u2066.txt".encode(),
]
EVIL_TEXT = "\x1b]52;c;ZXZpbA==\x07\x1b[31mred\r\x9b2K <script>alert(2)</script> & \u202e\n"


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "PYTHONDONTWRITEBYTECODE"}}
    return {
        **kept,
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "DSVC_AUTHOR_NAME": "Eve\x1b[5m\u202e",
        "DSVC_AUTHOR_EMAIL": "eve@example.org",
        **more,
    }


def piped(folder: Path, *arguments: str | bytes, **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "dsvc", *arguments],
        cwd=folder,
        env=environment(folder.parent, **more),
        capture_output=True,
        check=False,
        timeout=60,
    )


def on_terminal(folder: Path, *arguments: str | bytes, **more: str) -> tuple[int, bytes]:
    """Run dsvc with standard output and standard error on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dsvc", *arguments],
        cwd=folder,
        env=environment(folder.parent, TERM="xterm-256color", PAGER="cat", **more),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    seen = bytearray()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ready, _, _ = select.select([ours], [], [], 1.0)
        if not ready and process.poll() is not None:
            break
        try:
            data = os.read(ours, 65536) if ready else b""
        except OSError:
            break
        if ready and not data:
            break
        seen += data
    os.close(ours)
    return process.wait(timeout=60), bytes(seen)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository without commits."""
    work = tmp_path_factory.mktemp("begun") / "work"
    work.mkdir()
    assert piped(work, "init").returncode == 0
    for name in EVIL_NAMES:
        Path(os.fsdecode(os.path.join(os.fsencode(work), name))).write_text("one\n")
    return work


@pytest.fixture(scope="module")
def twice(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with two commits."""
    work = tmp_path_factory.mktemp("twice") / "work"
    shutil.copytree(begun, work, symlinks=True)
    commit_twice(work)
    return work


@pytest.fixture
def folder(begun: Path, fast_path: Path) -> Path:
    return Path(shutil.copytree(begun, fast_path / "work", symlinks=True))


@pytest.fixture
def committed(twice: Path, fast_path: Path) -> Path:
    return Path(shutil.copytree(twice, fast_path / "work", symlinks=True))


def commit_twice(folder: Path) -> None:
    assert piped(folder, "add", "-A").returncode == 0
    assert piped(folder, "commit", "-m", "first " + EVIL_TEXT.replace("\0", "")).returncode == 0
    for name in EVIL_NAMES[:4]:
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_text("one\n" + EVIL_TEXT)
    os.rename(os.path.join(folder, "-rf"), os.path.join(folder, "renamed\x1b[0m"))
    assert piped(folder, "add", "-A").returncode == 0
    assert piped(folder, "commit", "-m", "second").returncode == 0


COMMANDS = [
    ["status"],
    ["status", "-s", "-u", "all"],
    ["add", "-A", "--dry-run"],
    ["log"],
    ["log", "--oneline", "--graph"],
    ["show"],
    ["diff", "HEAD~1", "HEAD", "--stat"],
    ["diff", "HEAD~1", "HEAD", "--name-status"],
    ["ls", "-r"],
    ["reflog"],
    ["op", "log"],
    ["clean", "-n"],
    ["checkout", "no-such\x1b[2Jrevision"],
    ["add", "missing\x1b[2J\n"],
    ["cat", "HEAD:missing\x1b[2J"],
    ["--nonsense\x1b[2J"],
    ["\x1b[2J"],
    ["branch", "bad\x1b[2Jname"],
    ["config", "user.\x1b[2J"],
    ["-C", "missing\x1b[2J", "status"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: " ".join(map(repr, words)))
def test_h6_h54_nothing_but_our_own_colours_reaches_a_terminal_or_a_pipe(
    committed: Path, arguments: list[str]
) -> None:
    (committed / "untracked\x1b[2J").write_text("x")
    code, seen = on_terminal(committed, *arguments)
    assert code in {0, 2, 14, 41}, seen
    plain = COLOR.sub(b"", seen)
    assert not CONTROL.search(plain), plain
    done = piped(committed, *arguments)
    assert done.returncode == code
    assert not CONTROL.search(done.stdout + done.stderr), done.stdout + done.stderr
    assert b"Traceback" not in done.stderr


def test_h6_h54_content_in_a_diff_is_escaped_on_a_terminal_and_exact_in_a_pipe(committed: Path) -> None:
    code, seen = on_terminal(committed, "diff", "HEAD~1", "HEAD")
    assert code == 0
    assert not CONTROL.search(COLOR.sub(b"", seen))
    assert b"\\x1b]52" in seen
    assert b"+\x1b]52;c;" in piped(committed, "diff", "HEAD~1", "HEAD").stdout


def test_h6_json_has_every_name_exactly(folder: Path) -> None:
    found = json.loads(piped(folder, "status", "-u", "all", "--json").stdout)
    names = {
        base64.b64decode(item["path_b64"]) if "path_b64" in item else item["path"].encode()
        for item in found["untracked"]
    }
    assert names == set(EVIL_NAMES)
    commit_twice(folder)
    for line in piped(folder, "ls", "-r", "--json").stdout.splitlines():
        item = json.loads(line)
        assert ("path_b64" in item) == ("\ufffd" in item["path"])


def test_h52_the_page_of_a_diff_runs_nothing(committed: Path) -> None:
    assert piped(committed, "diff", "HEAD~1", "HEAD", "--html", "../page.html").returncode == 0
    page = (committed.parent / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page.lower()
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in page
    assert "default-src 'none'" in page
    assert not CONTROL.search(page.encode())
    for outside in ("http:", "https:", "src=", "href=", "url(", "@import", "javascript:"):
        assert outside not in page.lower(), outside


def test_h6_names_like_options_are_files_after_the_dashes(folder: Path) -> None:
    done = piped(folder, "add", "--", "-rf", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(piped(folder, "status", "--json").stdout)
    assert {item["path"] for item in found["staged"]} == {"-rf", "--json"}


def test_a_name_that_is_not_utf8_can_be_typed(folder: Path) -> None:
    assert piped(folder, "add", b"latin-\xe9.txt").returncode == 0
    (item,) = json.loads(piped(folder, "status", "--json").stdout)["staged"]
    assert base64.b64decode(item["path_b64"]) == b"latin-\xe9.txt"


def test_a_locale_without_utf8_still_gives_utf8(folder: Path) -> None:
    for locale in ("C", "POSIX"):
        done = piped(folder, "status", LC_ALL=locale, PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
        assert done.returncode == 0, done.stderr
        assert "说明".encode() in done.stdout
