"""F29: many verbs of eight processes on one branch: one winner of each race, nothing acknowledged is lost."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dsvc.model.errors import ConcurrentChangeError, DsvcError, LockedError, WouldOverwriteError
from dsvc.porcelain.release.release_verify import Outcome
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.versions.commit import NothingToCommitError
from dsvc.testing.checker import check_fsck, commit_contents, opened
from dsvc.testing.faults import BrokenPromiseError, tried
from tests.faultkit import open_in, write
from tests.loop_scenarios import COMMANDS
from tests.racekit import together

PROCESSES = 8
_LOST_THE_RACE = (LockedError, ConcurrentChangeError)
_TAKEN = {"ref-exists", "source-exists", "defect-step", "release-name-taken"}
"""Codes of errors that say that somebody else was first."""
_FIELDS = {
    "title": "x",
    "acquisition": "self_generated",
    "legal_basis": "consent",
    "license_expression": "CC0-1.0",
}


class Said(NamedTuple):
    """What a process was told: a verb came through, for a thing and with what came of it."""

    verb: str
    thing: str
    result: str


Verb = Callable[[Repository, str, int, int], Iterator[Said]]


def _commit(repo: Repository, root: str, who: int, turn: int) -> Iterator[Said]:
    path, thing = f"own/{who}.py".encode(), f"{who} {turn}"
    write(root, {path: thing.encode()})
    repo.add([path])
    try:
        yield Said("commit", thing, str(repo.commit(thing).commit))
    except NothingToCommitError:
        # Another process has committed all that was staged, this too.
        yield Said("commit", thing, "")


def _tag(repo: Repository, _root: str, who: int, turn: int) -> Iterator[Said]:
    yield Said("tag", f"own-{who}-{turn}", str(repo.create_tag(f"own-{who}-{turn}").commit))


def _same_tag(repo: Repository, _root: str, who: int, turn: int) -> Iterator[Said]:
    repo.create_tag(f"same-{turn}", message=f"by {who}")
    yield Said("one winner", f"refs/tags/same-{turn}", str(who))


def _branch(repo: Repository, _root: str, who: int, turn: int) -> Iterator[Said]:
    """Made, moved and renamed; what is left of it is one branch."""
    repo.create_branch(f"b-{who}-{turn}")
    moved = repo.create_branch(f"b-{who}-{turn}", "HEAD", force=True)
    yield Said("branch", f"b-{who}-{turn}", str(moved.commit))
    if turn % 2:
        repo.rename_branch(f"b-{who}-{turn}", f"b-{who}-{turn}-renamed")
        yield Said("no branch", f"b-{who}-{turn}", "")
        yield Said("branch", f"b-{who}-{turn}-renamed", str(moved.commit))


def _same_branch(repo: Repository, _root: str, who: int, turn: int) -> Iterator[Said]:
    repo.create_branch(f"same-{turn}")
    yield Said("one winner", f"refs/heads/same-{turn}", str(who))


def _source(repo: Repository, _root: str, who: int, turn: int) -> Iterator[Said]:
    repo.source_add(f"s-{who}-{turn}", [b"raw.jsonl"], fields=_FIELDS)
    yield Said("source", f"s-{who}-{turn}", "")
    repo.source_add(f"same-{turn}", [b"raw.jsonl"], fields={**_FIELDS, "title": str(who)})
    yield Said("one winner", f"source same-{turn}", str(who))


def _defect(repo: Repository, _root: str, who: int, turn: int) -> Iterator[Said]:
    (defect,) = repo.defects()
    repo.defect_comment(defect.id, f"{who} {turn}")
    yield Said("comment", f"{who} {turn}", "")
    repo.defect_confirm(defect.id, str(who))
    yield Said("one winner", "confirm", str(who))


def _undo(repo: Repository, _root: str, who: int, turn: int) -> Iterator[Said]:
    name = f"gone-{who}-{turn}"
    repo.create_tag(name)
    (operation,) = [each for each in repo.operations() if each.verb == "tag" and name in each.arguments]
    for _ in range(20):
        try:
            repo.undo(str(operation.id))
            break
        except _LOST_THE_RACE:
            continue
    else:
        return
    yield Said("no tag", name, "")


def _merge(repo: Repository, _root: str, who: int, turn: int) -> Iterator[Said]:
    done = repo.merge(f"topic-{who}-{turn % 2}")
    if done.commit is not None:
        yield Said("merge", f"topic/{who}-{turn % 2}.py", str(done.commit))


VERBS: tuple[Verb, ...] = (
    _commit,
    _tag,
    _merge,
    _same_tag,
    _branch,
    _same_branch,
    _source,
    _defect,
    _undo,
)


def _be_busy(root: str, who: int, rounds: int) -> list[Said]:
    """Do everything, in an order of one's own; returns what was acknowledged."""
    done: list[Said] = []
    rng = random.Random(who)
    for turn in range(rounds):
        for verb in rng.sample(VERBS, len(VERBS)):
            for _ in range(3):
                try:
                    # Each as it is acknowledged: what comes after it may be refused.
                    done.extend(verb(open_in(root), root, who, turn))
                except _LOST_THE_RACE:
                    continue
                except WouldOverwriteError:
                    pass  # a file that another process wrote and didn't commit yet is in the way
                except DsvcError as error:
                    if error.code not in _TAKEN:
                        raise
                break
    return done


def _prepared(root: str) -> None:
    """A released line of versions, a defect, and branches to be merged."""
    COMMANDS["release-create"][0](root)
    result = [{"suite": "s", "model": "m"}, {"row": {"id": 1}, "metric": "a", "value": 0, "symptom": "typo"}]
    result.append({"row": {"id": 2}, "metric": "a", "value": 1, "passed": True})
    write(root, {b"result.jsonl": "".join(json.dumps(each) + "\n" for each in result).encode()})
    open_in(root).feedback_import(os.path.join(root, "result.jsonl"), subject="raw.jsonl", suite="s")
    for who in range(PROCESSES):
        for number in range(2):
            repo = open_in(root)
            repo.checkout(new_branch=f"topic-{who}-{number}")
            write(root, {f"topic/{who}-{number}.py".encode(): b"%d\n" % who})
            repo.add([b"topic"])
            repo.commit("topic")
            repo.checkout("main")


def _holds(history: Mapping[Any, Mapping[bytes, bytes]], thing: str) -> bool:
    """Whether a version has what a process wrote in a turn."""
    path = f"own/{thing.split(maxsplit=1)[0]}.py".encode()
    return any(contents.get(path) == thing.encode() for contents in history.values())


def _look(repo: Repository, said: list[Said]) -> None:
    """Everything that was acknowledged is there, and each race had one winner."""
    head = repo.history.refs.head().commit
    assert head is not None
    history = {commit.id: commit_contents(repo, commit.id) for commit in repo.history.log([head])}
    refs = repo.history.refs.list()
    (defect,) = repo.defects()
    notes = {step.operation.reason for step in defect.history if step.operation.verb.value == "comment"}
    sources = {source.record.source_id for source in repo.sources()}
    checks: dict[str, Callable[[str, str], bool]] = {
        "commit": lambda thing, id_: _holds(history if not id_ else {id_: history[id_]}, thing),
        "merge": lambda thing, id_: id_ in history and thing.encode() in history[head],
        "tag": lambda thing, id_: refs.get(f"refs/tags/{thing}") == id_,
        "no tag": lambda thing, _: f"refs/tags/{thing}" not in refs,
        "branch": lambda thing, id_: (
            id_ in (refs.get(f"refs/heads/{thing}"), refs.get(f"refs/heads/{thing}-renamed"))
        ),
        "no branch": lambda thing, _: f"refs/heads/{thing}" not in refs,
        "source": lambda thing, _: thing in sources,
        "comment": lambda thing, _: thing in notes,
        "one winner": lambda _thing, _who: True,
    }
    for verb, thing, result in said:
        if not checks[verb](thing, result):
            raise BrokenPromiseError(f"acknowledged and gone: {verb} {thing} {result}")
    winners = Counter(thing for verb, thing, _ in said if verb == "one winner")
    if any(count > 1 for count in winners.values()):
        raise BrokenPromiseError(f"more than one won: {winners}")
    made = Counter(result for verb, _, result in said if verb in ("commit", "merge") and result)
    if any(count > 1 for count in made.values()):
        raise BrokenPromiseError("one commit was acknowledged to two processes")


@pytest.mark.parametrize("rounds", [1, pytest.param(12, marks=pytest.mark.soak)])
def test_f29_many_verbs_on_one_branch(fast_path: Path, rounds: int) -> None:
    root = str(fast_path / "data")
    os.mkdir(root)
    _prepared(root)
    found = together([lambda who=who: _be_busy(root, who, rounds) for who in range(PROCESSES)])
    said = [each for one in found for each in one]
    with opened(root) as repo:
        _look(repo, said)
        check_fsck(repo)
    counts = Counter(each.verb for each in said)
    print(counts)
    assert set(counts) >= {"commit", "merge", "tag", "no tag", "branch", "source", "comment", "one winner"}
    tried("races", len(said))


def _release(root: str, who: int) -> str:
    for _ in range(20):
        try:
            open_in(root).release_create("v1", consumers=[str(who)])
            return "won"
        except _LOST_THE_RACE:
            continue
        except DsvcError as error:
            return error.code
    return "never"


def test_f29_one_release_of_a_name(fast_path: Path) -> None:
    root = str(fast_path / "data")
    os.mkdir(root)
    COMMANDS["release-create"][0](root)
    found = Counter(together([lambda who=who: _release(root, who) for who in range(4)]))
    assert found["won"] == 1
    assert set(found) <= {"won", "release-name-taken", "never"}
    with opened(root) as repo:
        (state,) = repo.releases()
        assert [step.operation.verb.value for step in state.history] == ["create"]
        assert repo.release_verify("v1").outcome is Outcome.PASS
        check_fsck(repo)
    tried("races", 4)
