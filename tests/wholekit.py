"""A repository that has some of everything that dsvc stores, and what it answers to every question."""

from __future__ import annotations

import functools
import os
import random
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from dsvc.lineage.validation import Outcome
from dsvc.model.errors import DsvcError, MergeConflictError
from dsvc.model.manifest import MODE_DIRECTORY, Entry
from dsvc.model.run_record import RunKind
from dsvc.policy.waivers import Standing
from dsvc.porcelain.policy.waivers import WaiverUse
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.store.materialize import read_content
from dsvc.testing.checker import commit_contents
from dsvc.testing.faults import BrokenPromiseError
from dsvc.testing.forgery import twin
from dsvc.testing.image import Image
from tests import loop_scenarios
from tests.faultkit import open_in, write
from tests.signkit import person

_ROWS = [b"%d,%d,%s\n" % (n, n * n, "行".encode()) for n in range(300)]
_PROSE = random.Random(4).randbytes(40).hex().encode() * 700


def everything(root: str) -> None:
    """Make it: versions, runs, a waiver, a request, evaluations to releases, a conflict, a stash, caches."""
    loop_scenarios.whole(root)
    _settings(root)
    _versions(root)
    _recorded(root)
    _branches(root)
    _left_over(root)
    _caches(root)


def _settings(root: str) -> None:
    officer = person("officer@example.org")
    roster = f"[roles]\ncompliance_officer = ['{officer.line}']\n".encode()
    old = Path(root, "dsvc.toml").read_bytes()
    write(root, {b"dsvc.toml": old + roster, b"officer.key": officer.private})
    repo = open_in(root)
    repo.add([b"dsvc.toml"])
    repo.commit("roster", no_verify=True)
    repo.config.set("user.signingKey", "officer.key")


def _versions(root: str) -> None:
    """Text, noise, tables, twins with one checksum, links, an empty folder, names in Chinese."""
    text = b"".join(b"%d\n" % n for n in range(500))
    write(
        root,
        {
            "数据/表.csv".encode(): b"id,n,c\n" + b"".join(_ROWS),
            b"data/noise.bin": random.Random(5).randbytes(30_000),
            b"data/prose.txt": _PROSE,
            b"twins/one": text,
            b"twins/two": twin(text, b"other"),
            b"run.sh": b"#!/bin/sh\n",
        },
    )
    os.chmod(os.path.join(root, "run.sh"), 0o755)
    os.symlink("data/prose.txt", os.path.join(root, "link"))
    os.mkdir(os.path.join(root, "empty"))
    _commit(root, "everything")
    write(root, {"数据/表.csv".encode(): b"id,n,c\n" + b"".join(_ROWS[5:] + _ROWS[:3])})
    _commit(root, "edited")
    open_in(root).create_tag("有注", message="annotated")


def _commit(root: str, message: str) -> None:
    repo = open_in(root)
    repo.add(all=True)
    repo.commit(message, no_verify=True)


def _recorded(root: str) -> None:
    """A run, a waiver, a request."""
    _filter(root, b"kept.csv")
    _commit(root, "with a run")
    open_in(root).waive("SRC-01", b"a.jsonl", reason="on its way", until="2999-12-31")
    repo = open_in(root)
    repo.request_add("R-1", "deletion", subjects=["张三"])


def _filter(root: str, name: bytes) -> None:
    write(root, {name: b"id,n,c\n" + b"".join(_ROWS[5:9])})
    table = "数据/表.csv".encode()
    spec = RunSpec(name="keep", kind=RunKind.FILTER, inputs=[table], outputs=[name], keys={None: ("id",)})
    open_in(root).run_manual(spec, "rows taken out by hand")


def _branches(root: str) -> None:
    """A branch that is in conflict with this one, something staged besides, a stash."""
    repo = open_in(root)
    repo.checkout(new_branch="topic")
    write(root, {b"run.sh": b"theirs\n"})
    _commit(root, "theirs")
    repo = open_in(root)
    repo.checkout("main")
    write(root, {b"run.sh": b"ours\n"})
    _commit(root, "ours")
    write(root, {b"data/prose.txt": b"put away\n"})
    open_in(root).stash("work")
    open_in(root).checkout("HEAD", sparse=["*", "!twins/two"])


def _left_over(root: str) -> None:
    """Rubbish, some of it in the trash; a merge in conflict, and a run that waits for a commit."""
    for number in range(2):
        write(root, {b"scratch": random.Random(number).randbytes(4000)})
        open_in(root).add([b"scratch"])
        write(root, {b"scratch": b"less\n"})
        open_in(root).add([b"scratch"])
        if number == 0:
            open_in(root).gc()
    with suppress(MergeConflictError):
        open_in(root).merge("topic")
    _filter(root, b"last.csv")


def _caches(root: str) -> None:
    """Ask for everything, twice: what is found out is kept."""
    for _ in range(2):
        ask(root)


Question = Callable[[Repository], object]


def _contents(repo: Repository) -> object:
    tips = repo.history.refs.list("refs/")
    found = {}
    for name, tip in sorted(tips.items()):
        if name.startswith(("refs/heads/", "refs/tags/", "refs/dsvc/stash")):
            found[name] = commit_contents(repo, repo.history.peel(tip))
    return found


def _staged(repo: Repository) -> object:
    return [(each, _read(repo, each)) for each in repo.manifest_of("STAGED").entries()]


def _read(repo: Repository, entry: Entry) -> bytes:
    return b"" if entry.mode == MODE_DIRECTORY else read_content(repo.store, entry)


def _tables(repo: Repository) -> object:
    result = repo.diff("有注~1", "有注")
    return [
        str(repo.table_diff(change, result)) for change in result.changes if change.path.endswith(b".csv")
    ]


def _provenance(repo: Repository) -> object:
    """Runs with their parts, sources with their evidence."""
    runs = [(each.id, each.run, list(each.code_files())) for each in repo.runs()]
    return runs, repo.sources()


def _checked(repo: Repository) -> object:
    found = repo.check()
    return found.outcome


QUESTIONS: dict[str, Question] = {
    "contents": _contents,
    "staged": _staged,
    "status": lambda repo: repo.status(untracked="all"),
    "log": lambda repo: [each.commit.id for each in repo.log()],
    "conflicts": lambda repo: repo.conflicts(),
    "stash": lambda repo: repo.stash_list(),
    "operations": lambda repo: [(each.id, each.verb) for each in repo.operations()],
    "tables": _tables,
    "provenance": _provenance,
    "check": _checked,
    "loop": lambda repo: loop_scenarios.words(repo.root),
    "waivers": lambda repo: repo.waivers(),
    "requests": lambda repo: repo.requests(),
    "trace": lambda repo: repo.trace("kept.csv#@0"),
}
"""Everything that a user can ask about what is stored; each is answered or refused."""


def ask(root: str, *names: str) -> dict[str, object]:
    """Answers to some questions, or to all; the type of an error where one is refused."""
    found: dict[str, object] = {}
    for name in names or QUESTIONS:
        repo = None
        try:
            repo = open_in(root)
            found[name] = QUESTIONS[name](repo)
        except DsvcError as error:
            found[name] = error
        finally:
            if repo is not None:
                repo.backend.forget()
    return found


@functools.cache
def image() -> Image:
    """The repository, made once in each process."""
    with tempfile.TemporaryDirectory(prefix="dsvc-whole-") as folder:
        everything(folder)
        return Image(folder)


@functools.cache
def expected() -> dict[str, object]:
    """What it answers while it is whole."""
    with tempfile.TemporaryDirectory(prefix="dsvc-whole-") as folder:
        image().lay_out(folder + "/x")
        return ask(folder + "/x")


def _new(waivers: object) -> list[WaiverUse]:
    """Waivers that are otherwise than they should be."""
    known = expected()["waivers"]
    assert isinstance(waivers, list)
    assert isinstance(known, list)
    return [each for each in waivers if each not in known]


def refuse_lies(root: str, what: str, *names: str) -> None:
    """Every answer is right, or an error says why there is none; the gate passes nothing that it can't know.

    Raises
    ------
    BrokenPromiseError
        If an answer is another one.
    """
    for name, answer in ask(root, *names).items():
        if isinstance(answer, DsvcError) or answer == expected()[name]:
            continue
        if name == "check" and answer is not Outcome.PASS:
            continue
        if name == "waivers" and all(each.standing is not Standing.COUNTS for each in _new(answer)):
            continue
        raise BrokenPromiseError(f"{what}: {name} is answered by {str(answer)[:300]}")
