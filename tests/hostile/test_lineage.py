"""Forged and damaged provenance: answers are typed errors, never tracebacks, and the gate never passes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from dsvc.cli.main import run as dsvc
from dsvc.lineage.link_file import encode_links
from dsvc.lineage.links import ordered
from dsvc.lineage.validation import Outcome
from dsvc.model.errors import DsvcError
from dsvc.model.manifest import MODE_FILE, Entry, tree_entry
from dsvc.model.run_record import Code, CodeFile, Fates, Run, RunId
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.porcelain.state.pending_runs import add_pending
from dsvc.store.content import NO_FACTS
from dsvc.store.ingest import store_bytes
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest
from dsvc.testing.faults import tried
from tests.lineagekit import Lab, Made
from tests.porcelain.test_check import altered, chain, with_
from tests.porcelain.test_commit_lineage import commit_of
from tests.porcelain.working import Work

QUESTIONS = (
    ["check", "{rev}"],
    ["trace", "{rev}:final.csv"],
    ["trace", "{rev}:final.csv#@0"],
    ["--json", "trace", "{rev}:clean.csv"],
    ["impact", "source:web"],
    ["impact", "{rev}:raw.csv"],
    ["impact", "{rev}:raw.csv#@0"],
    ["--json", "impact", "--all", "source:web"],
    ["lineage", "{rev}:final.csv"],
    ["lineage", "--format", "json"],
    ["log", "{rev}"],
    ["show", "{rev}"],
    ["status"],
    ["source", "list"],
    ["source", "show", "web"],
    ["blame", "final.csv"],
    ["fsck"],
    ["gc", "--dry-run"],
    ["check", "--staged"],
)


@pytest.fixture(autouse=True)
def _back_to_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command line goes to another folder in this process; the next test finds it where it was."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def lab(fast_path: Path) -> Lab:
    return Lab(Work(fast_path / "data"))


def asked(lab: Lab, capsys: pytest.CaptureFixture[str], rev: str, *runs: RunId) -> None:
    """Ask everything that there is to ask; nothing is a bug."""
    more = [
        [*words, f"run:{id_.hex()}"]
        for id_ in runs
        for words in (["trace"], ["impact"], ["lineage"], ["show"])
    ]
    for question in (*QUESTIONS, *more):
        words = [each.format(rev=rev) for each in question]
        capsys.readouterr()
        code = dsvc(["-C", str(lab.work.folder), *words])
        said = capsys.readouterr().err
        assert code != 50, f"{words}: {said}"
        assert "Traceback" not in said
    tried("hostile cases")


def passes(lab: Lab, rev: str) -> bool:
    return lab.work.reopen().check(rev).outcome is Outcome.PASS


def changed_input(**fields: Any) -> Callable[[Run], Run]:
    def change(run: Run) -> Run:
        return msgspec.structs.replace(run, inputs=(msgspec.structs.replace(run.inputs[0], **fields),))

    return change


def changed_output(**fields: Any) -> Callable[[Run], Run]:
    def change(run: Run) -> Run:
        return msgspec.structs.replace(run, outputs=(msgspec.structs.replace(run.outputs[0], **fields),))

    return change


def links(*pairs: tuple[int, int]) -> bytes:
    outs, ins = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    return encode_links(ordered(outs, ins))


HUGE = 1 << 60
LIES: Mapping[str, tuple[Callable[[Run], Run], dict[str, bytes | None], bool]] = {
    "an input of -1 rows": (changed_input(records=-1), {}, False),
    "an input of 10^18 rows": (changed_input(records=HUGE), {}, False),
    "an output of 10^18 rows": (changed_output(records=HUGE), {}, False),
    "an input of -1 bytes": (changed_input(size=-1), {}, False),
    "an output of other content": (changed_output(digest=b"x" * 32), {}, False),
    "negative fates": (changed_input(fates=Fates(kept=-3, dropped=7)), {}, False),
    "fates of 10^18 rows": (changed_input(fates=Fates(kept=HUGE)), {}, False),
    "no fates": (changed_input(fates=None), {}, False),
    "negative additions": (changed_output(added=-5), {}, False),
    "a folder that is a file": (changed_input(folder=True), {}, False),
    "an output that is a folder": (changed_output(folder=True), {}, False),
    "no inputs": (with_(inputs=()), {}, False),
    "no outputs": (with_(outputs=()), {}, False),
    "times that are none": (with_(started_at="yesterday", ended_at="\x1b[2J"), {}, True),
    "a name with control characters": (with_(name="\x1b[2J\u202e\0"), {}, True),
    "drops of nothing": (with_(drops={"": -1, "x" * 10_000: HUGE}), {}, True),
    "code outside": (
        with_(code=Code(commit="x", digest=b"", files=(CodeFile(b"../../etc/passwd", b"x"),))),
        {},
        False,
    ),
    "a grade that there isn't": (with_(grade="\x00"), {}, True),
    "a map that is none": (with_(), {"maps__0_0": b"no map"}, False),
    "a map of rows beyond": (with_(), {"maps__0_0": links((0, 900), (1, 901))}, False),
    "a map of 10^18": (with_(), {"maps__0_0": links((0, HUGE), (HUGE, 3))}, False),
    "a map of no artifact": (with_(), {"maps__7_9": links((0, 0))}, False),
    "no map": (with_(), {"maps__0_0": None}, False),
    "an account that is none": (with_(), {"rows__0": b"no account"}, False),
    "no account": (with_(), {"rows__0": None}, False),
    "a map by another name": (with_(), {"maps__x": b"?"}, False),
}


@pytest.mark.parametrize("lie", LIES)
def test_h15_h22_records_that_lie(lab: Lab, capsys: pytest.CaptureFixture[str], lie: str) -> None:
    change, parts, may_pass = LIES[lie]
    _files, clean, _final = chain(lab)
    id_ = altered(lab, clean, change, **parts)
    try:
        lab.work.commit("taken")
    except DsvcError:
        asked(lab, capsys, "STAGED", id_)
        return
    asked(lab, capsys, "HEAD", id_)
    if not may_pass:
        assert not passes(lab, "HEAD")


def test_a_run_with_the_map_of_another(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """As a part it is whole, but it names rows that its artifacts don't have."""
    _files, clean, final = chain(lab)
    other = links((0, 0), (1, 1), (2, 2))
    id_ = altered(lab, final, with_(), maps__0_0=other)
    lab.commit()
    asked(lab, capsys, "HEAD", id_, clean.id)
    assert not passes(lab, "HEAD")


def blob(lab: Lab, path: bytes, data: bytes) -> Entry:
    return store_bytes(lab.repo.store, path, data, None, lambda *_: NO_FACTS).entry(path, MODE_FILE)


def forged(lab: Lab, entries: Mapping[bytes, Entry | None]) -> str:
    """Commit a lineage with entries that no dsvc writes, as branch ``forged``."""
    head = lab.commit()
    lineage = lineage_of(lab.repo, head).manifest.update(sorted(entries.items()))
    lab.repo.store.publish()
    commit_of(lab.work, lab.repo.manifest_of("HEAD").root, lineage)
    return "forged"


def no_run(lab: Lab) -> Entry:
    return tree_entry(b"x", lab.repo.staged().root)


def placed(path: bytes, root: bytes) -> dict[bytes, Entry | None]:
    return {path: tree_entry(path, root)}


FORGED: Mapping[str, Callable[[Lab, Made], dict[bytes, Entry | None]]] = {
    "a run that is missing": lambda lab, made: placed(b"runs/" + b"78" * 32, b"x" * 32),
    "a run under another name": lambda lab, made: placed(b"runs/" + b"0" * 64, bytes(made.id)),
    "a run that is a file": lambda lab, made: {b"runs/x": blob(lab, b"runs/x", b"x")},
    "a run below a run": lambda lab, made: placed(b"runs/x/y", bytes(made.id)),
    "a run that is a version": lambda lab, made: placed(
        b"runs/" + bytes(lab.repo.staged().root).hex().encode(), bytes(lab.repo.staged().root)
    ),
    "runs are a file": lambda lab, made: {b"runs": blob(lab, b"runs", b"x"), **dict.fromkeys(_runs(lab))},
    "a source that is missing": lambda lab, made: placed(b"sources/gone", b"x" * 32),
    "a source that is a file": lambda lab, made: {b"sources/file": blob(lab, b"sources/file", b"x")},
    "a source that is a run": lambda lab, made: placed(b"sources/web", bytes(made.id)),
    "a source below a source": lambda lab, made: placed(b"sources/a/b", bytes(made.id)),
    "a source that is nothing": lambda lab, made: placed(b"sources/empty", bytes(EMPTY_ROOT)),
    "a source of no name": lambda lab, made: placed(b"sources/\xff\xfe", bytes(made.id)),
    "a source of an evil name": lambda lab, made: placed(b"sources/-\x1b[2J", bytes(made.id)),
}


def _runs(lab: Lab) -> list[bytes]:
    head = lab.repo.history.refs.head().commit
    return [each.path for each in lineage_of(lab.repo, head).manifest.entries(b"runs")]


@pytest.mark.parametrize("what", FORGED)
def test_h22_h23_forged_lineages(lab: Lab, capsys: pytest.CaptureFixture[str], what: str) -> None:
    _files, clean, _final = chain(lab)
    lab.commit()
    rev = forged(lab, FORGED[what](lab, clean))
    asked(lab, capsys, rev, clean.id)
    assert not passes(lab, rev)
    # What stands upon it is refused, or says so too.
    lab.repo.checkout(rev, force=True)
    lab.work.write({b"more.csv": b"id,v\n1,x\n"})
    try:
        lab.work.commit("upon it")
    except DsvcError:
        return
    assert not passes(lab, "HEAD")


def test_h22_a_pending_file_that_names_no_run(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    _files, clean, _final = chain(lab)
    add_pending(lab.repo.layout, RunId(b"x" * 32), durable=False)
    asked(lab, capsys, "STAGED", clean.id, RunId(b"x" * 32))
    with pytest.raises(DsvcError):
        lab.work.reopen().gc(grace_seconds=0)
    assert lab.work.reopen().check(staged=True).outcome is Outcome.INCOMPLETE
    assert not lab.work.reopen().fsck().ok


@pytest.mark.parametrize(
    "record", [None, b"", b"no record", b"\xc1" * 100], ids=["none", "empty", "text", "bytes"]
)
def test_h23_a_chain_without_a_record(
    lab: Lab, capsys: pytest.CaptureFixture[str], record: bytes | None
) -> None:
    _files, clean, _final = chain(lab)
    lab.commit()
    parts = {} if record is None else {b"record": blob(lab, b"record", record)}
    root = Manifest(lab.repo.store, EMPTY_ROOT, trees=True).update(sorted(parts.items()))
    lab.repo.store.publish()
    ref = "refs/dsvc/sources/web"
    who = lab.repo.signature()
    prepared = lab.repo.history.commit(
        parents=[],
        manifest=root,
        files=len(parts),
        bytes=0,
        message="forged",
        author=who,
        committer=who,
        branch=ref,
        expected=lab.repo.history.refs.get(ref),
    )
    lab.repo.record("source set", changes=prepared.changes, objects=prepared.objects)
    asked(lab, capsys, "HEAD", clean.id)
    assert not passes(lab, "HEAD")


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_h22_thousands_of_runs(lab: Lab, capsys: pytest.CaptureFixture[str], count: int) -> None:
    """A lineage that names them costs time, and nothing else; those that are missing are named."""
    _files, clean, _final = chain(lab)
    lab.commit()
    names = [number.to_bytes(32, "big") for number in range(1, count + 1)]
    entries: dict[bytes, Entry | None] = {}
    for name in names:
        entries |= placed(b"runs/" + name.hex().encode(), name)
    rev = forged(lab, entries)
    asked(lab, capsys, rev, clean.id)
    assert lab.work.reopen().check(rev).outcome is Outcome.INCOMPLETE


def test_json_of_what_lies_is_json(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    _files, clean, _final = chain(lab)
    altered(lab, clean, with_(name="\x1b[2J\udcff".encode("utf-8", "replace").decode(), seed="\0"))
    lab.commit()
    for words in (["lineage", "--format", "json"], ["--json", "trace", "final.csv"]):
        capsys.readouterr()
        assert dsvc(["-C", str(lab.work.folder), *words]) == 0
        assert json.loads(capsys.readouterr().out)
