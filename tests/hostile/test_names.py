"""F39: names of any bytes: kept byte for byte, through every verb; twins where a file system folds names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.model.errors import DsvcError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.state.values import ResetMode
from dsvc.testing.checker import tree_state
from dsvc.testing.faults import tried
from tests.faultkit import commit_all, repository, write
from tests.fusekit import Faults, mounted

_FIELDS = {
    "title": "名字",
    "acquisition": "self_generated",
    "legal_basis": "contract",
    "license_expression": "CC-BY-4.0",
}
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


def _table(number: int, text: str = "x") -> bytes:
    return b"id,v\n" + b"".join(b"%d,%s\n" % (n, text.encode()) for n in range(number % 5 + 2))


def test_f39_every_verb_keeps_names_byte_for_byte(root: str) -> None:
    """Branches, merges, stashes, moves, lineage: through each the names are what they were."""
    names = [name for name in NAMES if len(name) < 200]
    write(root, {name: _table(n) for n, name in enumerate(names)})
    with repository(root) as repo:
        repo.add(names)
        repo.commit("names")
        first = tree_state(root)
        # Two branches change different files: the merge has both.
        repo.checkout(new_branch="side")
        write(root, {name: _table(n, "side") for n, name in enumerate(names) if n % 2})
        repo.commit("side", all=True)
        repo.checkout("main")
        assert tree_state(root) == first
        write(root, {name: _table(n, "main") for n, name in enumerate(names) if not n % 2})
        assert {c.path for c in repo.status().unstaged} == {n for i, n in enumerate(names) if not i % 2}
        repo.commit("main", all=True)
        assert not repo.merge("side").conflicts
        merged = tree_state(root)
        assert {path: data for path, (_, data) in merged.items()} == {
            name: _table(n, "side" if n % 2 else "main") for n, name in enumerate(names)
        }
        assert {c.path for c in repo.diff("HEAD~1", "HEAD").changes} == {
            n for i, n in enumerate(names) if i % 2
        }
        # Put aside, taken back, thrown away, brought back.
        write(root, dict.fromkeys(names, b"id,v\n1,aside\n"))
        aside = tree_state(root)
        repo.stash("aside")
        assert tree_state(root) == merged
        repo.stash_pop()
        assert tree_state(root) == aside
        repo.restore([b""], source="HEAD")
        repo.reset("HEAD", ResetMode.HARD)
        assert tree_state(root) == merged
        repo.remove(names)
        assert tree_state(root) == {}
        repo.undo()
        repo.reset("HEAD", ResetMode.HARD)
        assert tree_state(root) == merged
        for number, name in enumerate(names):
            target = b"moved/%d-" % number + name.replace(b"/", b"_")
            assert repo.move(name, target) == target
            assert tree_state(root)[target] == merged[name]
            assert len(list(repo.log(paths=[name]))) >= 2
        repo.commit("moved")
        moved = tree_state(root)
        repo.checkout("HEAD~1")
        assert tree_state(root) == merged
        repo.checkout("main")
        assert tree_state(root) == moved
        assert repo.fsck(read_data=True).ok
    tried("hostile cases", len(names))


def test_f39_lineage_keeps_names_byte_for_byte(root: str) -> None:
    """Sources that attest such files, and runs that read and write them."""
    names = [name for name in NAMES if len(name) < 200 and b"/" not in name][:16]
    write(root, {name: _table(n) for n, name in enumerate(names)})
    with repository(root) as repo:
        repo.add(all=True)
        repo.source_add("names", names, fields=_FIELDS, evidence=[])
        outputs = [b"out-" + name for name in names]
        write(root, {path: _table(n) for n, path in enumerate(outputs)})
        repo.run_manual(RunSpec(name="copy", inputs=names, outputs=outputs), "copied by hand")
        repo.add(all=True)
        repo.commit("all", no_verify=True)
        (made,) = repo.runs()
        assert [each.path for each in made.run.inputs] == names
        assert [each.path for each in made.run.outputs] == outputs
        (known,) = repo.sources()
        assert {each.path for each in known.record.covers} == set(names)
        assert repo.fsck(read_data=True).ok
    tried("hostile cases", len(names))


TWINS = {
    "case": (b"Twin", b"twin"),
    "nfc": ("\u00e9".encode(), "e\u0301".encode()),
    "both": ("STRASSE\u00e9".encode(), "strassee\u0301".encode()),
}


@pytest.mark.parametrize("fold", TWINS)
def test_f39_twins_where_names_fold_are_refused_before_any_is_written(tmp_path: Path, fold: str) -> None:
    one, other = TWINS[fold]
    apart = tmp_path / "apart"
    Repository.init(str(apart))
    write(apart, {b"kept": b"kept\n"})
    with repository(str(apart)) as repo:
        commit_all(repo, "first")
        repo.checkout(new_branch="twins")
        write(apart, {one: b"one\n", other: b"other\n", b"a-first": b"new\n", b"z-last": b"new\n"})
        commit_all(repo, "twins")
        repo.checkout("main")
    place = tmp_path / "folding"
    place.mkdir()
    shutil.copytree(apart, place / "below", symlinks=True)
    verbs: dict[str, Callable[[Repository], object]] = {
        "checkout": lambda repo: repo.checkout("twins"),
        "checkout --force": lambda repo: repo.checkout("twins", force=True),
        "restore": lambda repo: repo.restore([b""], source="twins"),
        "reset": lambda repo: repo.reset("twins", ResetMode.HARD),
        "merge": lambda repo: repo.merge("twins"),
    }
    with mounted(place, Faults(fold=fold)) as folding:
        root = str(folding.root)
        with repository(root) as repo:
            before = tree_state(root), repo.history.refs.head(), repo.staged().root
            for name, verb in verbs.items():
                with pytest.raises(DsvcError) as caught:
                    verb(repo)
                assert caught.value.exit_code in (15, 33, 41), name
                assert (tree_state(root), repo.history.refs.head(), repo.staged().root) == before, name
                assert repo.status().clean
                tried("hostile cases")
