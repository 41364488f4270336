"""Whatever verb is called with whatever words, on whatever names of files: nothing commands the terminal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.cli.frame.verbs import VERBS
from dsvc.cli.main import run as dsvc
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import Author
from dsvc.testing.faults import BrokenPromiseError
from tests.hostile.test_terminal import COLOR, CONTROL, EVIL_NAMES
from tests.outside import watched

EVIL = "\x1b]8;;http://evil.example\x07x\x1b]8;;\x07\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\r\n文"
ENGINE = 3 << 30
"""Address space that DuckDB and its threads reserve; little of it is used."""
NAME = os.fsdecode(EVIL_NAMES[1])
SHOWS = """
status · status -s · log · log --graph --all · show · ls -r · diff --stat HEAD~1 · diff --name-status HEAD~1
blame {name} · trace {name} · impact {name} · lineage {name} · check · source list · request list
hook list · policy list · feedback list · defect list · repair list · release list · branch · tag
stash list · op log · reflog · conflicts · du · fsck · gc --dry-run · clean -n · config · mv {name} moved
rm --cached {name} · restore {name} · checkout -b {evil} · tag {evil} · source add {evil} {name}
run --name {evil} -o {name} -- true · run --manual {evil} -i {name} -o {name}
request add {evil} --kind refusal --domain {evil} · waive {evil}
feedback import {name} --subject {evil} --suite {evil} · feedback show {evil} · defect show {evil}
defect comment {evil} -m {evil} · repair plan {evil} --drop · repair show {evil} · release create {evil}
release show {evil} · release verify {evil} · policy explain {evil} · policy test {evil}
source show {evil} · source set {evil} --field {evil}={evil} · hook allow {evil} · request erase {evil}
sql {evil} · sql SELECT+1+FROM+"{evil}" · cat {name}#{evil} · cat HEAD:{evil} · merge {evil} · revert {evil}
cherry-pick {evil} · reset {evil} · resolve {evil} · apply {evil} · archive {evil} -o {evil} · undo
op show {evil} · normalize {name} · diff {evil} · rerun {evil} · config user.name {evil} · config {evil}
completion {evil} · help {evil} · version {evil} · init {evil}/x · add {evil} · commit -m {evil}
stash push -m {evil} · {evil}
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("says") / "r"
    repo = Repository.init(str(root))
    repo.close()
    for version in range(2):
        with Repository.open(str(root), author=Author("Eve 文", "eve@example.org")) as repo:
            for name in EVIL_NAMES:
                Path(os.fsdecode(os.path.join(os.fsencode(root), name))).write_text(f"{EVIL}{version}\n")
            (root / "t.csv").write_text(f'"{EVIL}",b\n"{EVIL}",{version}\n')
            repo.add(all=True)
            repo.commit(f"{EVIL} {version}")
    return root


def lines(name: str) -> list[list[str]]:
    said = [each.split() for line in SHOWS.strip().splitlines() for each in line.split("·")]
    return [[word.replace("+", " ").format(evil=EVIL, name=name) for word in words] for words in said]


def test_h54_no_verb_sends_what_others_wrote_to_the_terminal(prepared: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(prepared, tmp_path / "r", symlinks=True))

    def case(words: list[str]) -> Callable[[], object]:
        return lambda: dsvc(["-C", str(root), *words])

    listed = lines(NAME)
    assert {words[0] for words in listed} - {EVIL} == set(VERBS)
    cases = {f"{number} {words[:2]}": case(words) for number, words in enumerate(listed)}
    for name, ended in watched(cases, root, memory=ENGINE).items():
        assert ended.error is None, (name, ended.error)
        if "Traceback" in ended.output or ended.value == 50:
            raise BrokenPromiseError(f"{name}: {ended.output[-2000:]}")
        found = CONTROL.search(COLOR.sub(b"", ended.output.encode("utf-8", "surrogateescape")))
        if found:
            raise BrokenPromiseError(f"{name}: {ended.output[max(0, found.start() - 80) :][:200]!r}")
