"""Transcripts: what a person types, sees and gets back as exit code.

Each ``*.txt`` here is run in an empty folder by bash, command by command. A line ``$ command`` is followed by
what it prints, both streams together, and by ``[exit N]`` where N is not 0. What differs from run to run is
written as a word in square brackets. ``dsvc`` is a fork of `tests.resident`; some transcripts are played with
the program as a person starts it too, and all of them in the soak tests. After a wanted change of texts,
``DSVC_RECORD=1 make test ARGS='-k transcripts'`` writes the transcripts anew; read the difference before it
is committed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.resident import resident

HERE = Path(__file__).parent
TRANSCRIPTS = sorted(HERE.glob("*.txt"))
STARTED = ("chinese", "init")
"""Those that are played with the program started for each command, too."""

# Long before short: a short id is the beginning of a long one.
VARYING = [
    (re.compile(r"\b[0-9a-f]{64}\b"), "[digest]"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "[commit]"),
    (re.compile(r"\b(?=[a-f]*[0-9])[0-9a-f]{32}\b"), "[xxh3]"),
    (re.compile(r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{12}\b"), "[short]"),
    (re.compile(r"\b[0-9a-f]{8}\b(?!-)"), "[id]"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:(?:\.\d{3})?Z| [+-]\d{4})"), "[date]"),
    (re.compile(r"(?<=as of )[\d-]{10}|(?<=\"as_of\": \")[\d-]{10}|(?<=判定日期 )[\d-]{10}"), "[day]"),
    (re.compile(r"[\d,.]+ (?:B|KiB|MiB)(?= (?:new|stored))"), "[size]"),
    # Sizes of what is compressed, and has times in it.
    (re.compile(r"(?<=objects, )[\d.]+ (?:B|KiB)|(?<=存储占用 )[\d.]+ KiB"), "[size]"),
    (re.compile(r'(?<="objects": 11, "bytes": )\d+'), "[size]"),
]


def environment(folder: Path, programs: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PYTHON", "COVERAGE"))}
    return {
        **kept,
        "PATH": f"{programs}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "DSVC_AUTHOR_NAME": "Ada Lovelace",
        "DSVC_AUTHOR_EMAIL": "ada@example.org",
        "TZ": "UTC",
    }


def run(command: str, folder: Path, home: Path, programs: str) -> list[str]:
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(home, programs),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
    )
    text = done.stdout.decode("utf-8", "backslashreplace").replace(os.fspath(folder), "[folder]")
    text = text.replace(os.fspath(folder.parent), "[parent]")
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [*lines, *([f"[exit {done.returncode}]"] if done.returncode else [])]


def play(written: str, folder: Path, home: Path, *, started: bool = False) -> str:
    """Run the commands of a transcript and return it as it came out this time.

    With `started` each ``dsvc`` is started anew, as a person does.
    """
    programs = str(Path(sys.executable).parent) if started else resident().folder
    blocks: list[list[str]] = []
    comment: list[str] = []
    for line in written.splitlines():
        if line.startswith("# "):
            comment.append(line)
        elif line.startswith("$ "):
            blocks.append([*comment, line, *run(line[2:], folder, home, programs)])
            comment = []
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def lines_that_count(text: str) -> list[str]:
    """Return all lines but the empty ones, which separate commands for the reader."""
    return [line for line in text.splitlines() if line]


def _compare(path: Path, folder: Path, *, started: bool) -> None:
    data, home = folder / "data", folder / "home"
    data.mkdir()
    home.mkdir()
    written = path.read_text(encoding="utf-8")
    found = play(written, data, home, started=started)
    if os.environ.get("DSVC_RECORD") and found != written:
        path.write_text(found, encoding="utf-8")
    assert lines_that_count(found) == lines_that_count(written)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path, fast_path: Path) -> None:
    _compare(path, fast_path, started=False)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=[] if path.stem in STARTED else [pytest.mark.soak], id=path.stem)
        for path in TRANSCRIPTS
    ],
)
def test_transcript_of_the_program_started_for_each_command(path: Path, fast_path: Path) -> None:
    _compare(path, fast_path, started=True)


def test_there_are_transcripts() -> None:
    assert len(TRANSCRIPTS) >= 8
