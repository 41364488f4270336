"""Colours: every verb that shows something says the same with them as without."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dsvc.cli.main import run
from tests.verbkit import Whole, lay_out

COLOR = re.compile("\x1b\\[[0-9;]*m")
DRAWN = {"defect show"}
"""Verbs whose lines and bars are drawn otherwise where there are no colours."""


def test_no_verb_says_anything_else_in_colour(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Whole(tmp_path)
    monkeypatch.chdir(lay_out(whole, tmp_path))
    monkeypatch.setenv("DSVC_LANG", "en")
    coloured = set()
    for code, words in whole.reading():
        said = {}
        for option in ("--no-color", "--color"):
            assert run([*words, option]) == code, words
            found = capsys.readouterr()
            said[option] = found.out + found.err
        assert "\x1b" not in said["--no-color"], words
        if " ".join(words[:2]) not in DRAWN:
            assert COLOR.sub("", said["--color"]) == said["--no-color"], words
        if said["--no-color"] != said["--color"]:
            coloured.add(words[0])
    assert {"check", "feedback", "defect", "release", "source", "log", "diff"} <= coloured
