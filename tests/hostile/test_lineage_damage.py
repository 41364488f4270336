"""Bits flipped in what holds provenance: answers stay typed, and the gate passes only what is whole."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from dsvc.cli.main import run as dsvc
from dsvc.lineage.run_check import check_run, check_source
from dsvc.lineage.run_tree import RunTree
from dsvc.lineage.validation import Outcome
from dsvc.model.errors import DsvcError
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.testing.faults import tried
from dsvc.testing.image import Image
from tests.faultkit import open_in
from tests.lineagekit import Lab
from tests.porcelain.test_check import chain
from tests.porcelain.working import Work

QUESTIONS = (
    ["check"],
    ["check", "--staged"],
    ["trace", "final.csv#@0"],
    ["impact", "source:web"],
    ["lineage"],
    ["log"],
    ["source", "show", "web"],
    ["status"],
    ["gc", "--dry-run"],
)


@pytest.fixture(autouse=True)
def _back_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line goes to another folder in this process; the next test finds it where it was."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def image(fast_path: Path) -> Image:
    """A source, two runs in a commit, and one that waits for the next."""
    lab = Lab(Work(fast_path / "made"))
    files, _clean, _final = chain(lab)
    lab.commit()
    more = lab.put({b"more.csv": b"id,v\n0,x\n"})[b"more.csv"]
    lab.run("more", [files[b"final.csv"]], [more], {(0, 0): [(0, 0)]})
    lab.repo.backend.forget()
    return Image(str(lab.work.folder))


def is_whole(root: str) -> bool:
    """Whether every run and source of HEAD can be read, and holds what it says."""
    repo = open_in(root)
    try:
        lineage = lineage_of(repo, repo.history.refs.head().commit)
        flaws = [flaw for id_ in lineage.runs() for flaw in check_run(RunTree(repo.store, id_))]
        flaws += [flaw for name, tree in lineage.sources().items() for flaw in check_source(tree, name)]
    except DsvcError:
        return False
    finally:
        repo.backend.forget()
    return not flaws


def ask(root: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in QUESTIONS:
        capsys.readouterr()
        code = dsvc(["-C", root, *words])
        said = capsys.readouterr().err
        assert code != 50, f"{words}: {said}"
        assert "Traceback" not in said
    repo = open_in(root)
    try:
        passed = repo.check().outcome is Outcome.PASS
    except DsvcError:
        passed = False
    finally:
        repo.backend.forget()
    assert not passed or is_whole(root)
    tried("flips")


def stored(root: str, folder: str) -> list[str]:
    found = []
    for at, _, names in os.walk(os.path.join(root, ".dsvc", folder)):
        found += [os.path.join(at, name) for name in names]
    return sorted(found)


def flip(path: str, offset: int, bit: int) -> None:
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))


def test_whole_it_passes(image: Image, fast_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(fast_path / "whole")
    image.lay_out(root)
    ask(root, capsys)
    assert open_in(root).check().outcome is Outcome.PASS


@pytest.mark.parametrize(
    ("folder", "count"),
    [
        ("packs", 7),
        ("git/refs/dsvc/sources", 2),
        ("work/runs", 2),
        ("cache", 2),
        ("git/objects", 3),
        pytest.param("packs", 200, marks=pytest.mark.soak),
    ],
)
def test_f13_flipped_bits(
    image: Image, fast_path: Path, capsys: pytest.CaptureFixture[str], folder: str, count: int
) -> None:
    generator = random.Random(17)
    for number in range(count):
        root = str(fast_path / f"{number}")
        image.lay_out(root)
        path = generator.choice(stored(root, folder))
        flip(path, generator.randrange(os.path.getsize(path)), generator.randrange(8))
        ask(root, capsys)


@pytest.mark.parametrize("folder", ["packs", "git/refs/dsvc/sources", "work/runs"])
@pytest.mark.parametrize("size", [None, 0, 0.5])
def test_f14_f15_missing_and_cut_files(
    image: Image, fast_path: Path, capsys: pytest.CaptureFixture[str], folder: str, size: float | None
) -> None:
    source = str(fast_path / "listed")
    image.lay_out(source)
    names = stored(source, folder)
    for number, name in enumerate(names[:: max(1, len(names) // 3)]):
        root = str(fast_path / f"{number}")
        image.lay_out(root)
        path = name.replace(source, root)
        os.chmod(path, 0o644)
        if size is None:
            os.remove(path)
        else:
            os.truncate(path, int(os.path.getsize(path) * size))
        ask(root, capsys)
