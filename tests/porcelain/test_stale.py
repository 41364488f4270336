"""Which files are behind what they were made from, beside a search by brute force."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import msgspec
import pytest

from dsvc.fs.beneath import Beneath
from dsvc.lineage.artifacts import file_artifact, folder_artifact, relative
from dsvc.lineage.run_tree import Files, store_run
from dsvc.model.manifest import Entry
from dsvc.model.run_record import (
    Agent,
    Artifact,
    Asked,
    Code,
    Environment,
    Input,
    Output,
    Run,
    RunId,
    RunKind,
)
from dsvc.porcelain.runs.stale import Because, Cause, StaleCheck, StaleFile, stale
from dsvc.porcelain.state.pending_runs import add_pending
from dsvc.porcelain.tree.safekeeping import store_file
from tests.porcelain.working import Work, text

_clock = iter(range(1_000_000))


def record(
    work: Work,
    name: str,
    inputs: list[bytes | Entry],
    outputs: list[bytes],
    *,
    code: list[bytes] | None = None,
) -> RunId:
    """Record a run over files as they stand, one of its inputs by its entry where it is gone."""
    repo = work.repo

    def stored(path: bytes) -> Entry:
        with Beneath(repo.root) as tree:
            entry = store_file(repo.store, tree, path)
        assert entry is not None
        return entry

    def artifact(item: bytes | Entry) -> tuple[Artifact, Files]:
        if isinstance(item, Entry):
            return file_artifact(item), Files([item], False)
        at = work.path(item)
        if not os.path.isdir(at):
            return artifact(stored(item))
        names = [os.path.relpath(os.path.join(f, n), at) for f, _, found in os.walk(at) for n in found]
        members = relative([stored(item + b"/" + n) for n in names], item)
        return folder_artifact(item, members), Files(members, True)

    read, made = [artifact(each) for each in inputs], [artifact(each) for each in outputs]
    at = f"2026-01-01T00:00:00.{next(_clock):06d}Z"
    run = Run(
        name=name,
        kind=RunKind.FILTER,
        inputs=tuple(Input(**msgspec.structs.asdict(each)) for each, _ in read),
        outputs=tuple(Output(**msgspec.structs.asdict(each)) for each, _ in made),
        code=Code(),
        environment=Environment(),
        agent=Agent("安", "an@example.org"),
        started_at=at,
        ended_at=at,
        asked=Asked(
            inputs=tuple(each if isinstance(each, bytes) else each.path for each in inputs),
            outputs=tuple(outputs),
        ),
    )
    id_ = store_run(
        repo.store,
        run,
        inputs=[files for _, files in read],
        outputs=[files for _, files in made],
        code=[stored(path) for path in code or []],
    )
    repo.store.publish()
    add_pending(repo.layout, id_, durable=False)
    return id_


def names(found: list[StaleFile]) -> list[str]:
    return [os.fsdecode(each.path) for each in found]


def put(work: Work, **contents: str | None) -> None:
    work.write({name.encode(): None if c is None else text(c) for name, c in contents.items()})


def digest(work: Work, path: bytes) -> bytes:
    with Beneath(work.repo.root) as tree:
        entry = store_file(work.repo.store, tree, path)
    assert entry is not None
    return entry.digest


@pytest.fixture
def chain(work: Work) -> Work:
    """Raw to clean to final, by a script; committed."""
    put(work, 原始="1", clean="2", final="3", script="code")
    record(work, "clean", ["原始".encode()], [b"clean"], code=[b"script"])
    record(work, "final", [b"clean"], [b"final"])
    work.repo.add(all=True)
    work.repo.commit("chain")
    return work


def test_nothing_is_behind(chain: Work) -> None:
    assert stale(chain.repo) == []


@pytest.mark.parametrize("staged", [False, True])
def test_a_changed_input_and_what_follows_from_it(chain: Work, staged: bool) -> None:
    before = digest(chain, "原始".encode())
    put(chain, 原始="1 and more")
    if staged:
        chain.repo.add(all=True)
    first, second = stale(chain.repo)
    now = digest(chain, "原始".encode())
    assert first.path == b"clean"
    assert first.name == "clean"
    assert first.because == (Because("原始".encode(), before, now),)
    assert second.path == b"final"
    clean = digest(chain, b"clean")
    assert second.because == (Because(b"clean", clean, clean, Cause.STALE),)
    put(chain, 原始="1")
    assert stale(chain.repo) == []


def test_changed_code_and_inputs_that_are_gone(chain: Work) -> None:
    put(chain, script="other code")
    assert [each.cause for each in stale(chain.repo)[0].because] == [Cause.CODE]
    put(chain, script="code", 原始=None)
    (because,) = stale(chain.repo)[0].because
    assert because.now is None


def test_a_file_that_was_edited_since_is_not_behind_but_what_reads_it_is(chain: Work) -> None:
    put(chain, clean="edited by hand")
    assert names(stale(chain.repo)) == ["final"]


def test_it_is_made_again(chain: Work) -> None:
    put(chain, 原始="new", clean="new clean")
    record(chain, "clean", ["原始".encode()], [b"clean"], code=[b"script"])
    assert names(stale(chain.repo)) == ["final"]
    record(chain, "final", [b"clean"], [b"final"])
    assert stale(chain.repo) == [], "another run made the same of what is there now"


def test_in_place(work: Work) -> None:
    put(work, raw="raw", data="1")
    record(work, "make", [b"raw"], [b"data"])
    with Beneath(work.repo.root) as tree:
        first = store_file(work.repo.store, tree, b"data")
    assert first is not None
    put(work, data="2")
    record(work, "change", [first], [b"data"])
    assert stale(work.repo) == []
    put(work, raw="other")
    (found,) = stale(work.repo)
    assert (found.path, found.name) == (b"data", "change")
    assert [each.cause for each in found.because] == [Cause.STALE]


def test_folders(work: Work) -> None:
    work.write({b"in/a": text("a"), b"in/b": text("b"), b"out/x": text("x"), b"out/y": text("y")})
    record(work, "draw", [b"in"], [b"out"])
    assert stale(work.repo) == []
    work.write({b"in/sub/c": text("c")})
    found = stale(work.repo)
    assert names(found) == ["out/x", "out/y"]
    assert found[0].because == (Because(b"in/sub/c", None, digest(work, b"in/sub/c")),)
    work.repo.add(all=True)
    assert names(stale(work.repo)) == ["out/x", "out/y"]
    work.write({b"in/sub/c": None, b"in/a": None})
    assert [(each.path, each.now) for each in stale(work.repo)[0].because] == [(b"in/a", None)]


def test_without_caches_the_answer_is_the_same(chain: Work) -> None:
    put(chain, script="other")
    before = stale(chain.repo)
    shutil.rmtree(chain.repo.layout.cache)
    os.mkdir(chain.repo.layout.cache)
    assert stale(chain.reopen()) == before


def test_a_long_chain(work: Work) -> None:
    work.write({b"f%d" % n: text(str(n)) for n in range(301)})
    ids = [record(work, f"make {n}", [b"f%d" % (n - 1)], [b"f%d" % n]) for n in range(1, 301)]
    work.write({b"f0": text("edited")})
    assert [each.cause for each in StaleCheck(work.repo).because(ids[-1])] == [Cause.STALE]
    assert [each.run for each in stale(work.repo)] == ids


@pytest.mark.parametrize("seed", range(6))
def test_random_pipelines_as_by_brute_force(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    work = Work(tmp_path / "data")
    contents = {f"f{n}": f"{n}" for n in range(12)}
    work.write({name.encode(): text(content) for name, content in contents.items()})
    sources: dict[str, list[str]] = {}
    for number in range(3, 12):
        parents = rng.sample([f"f{n}" for n in range(number)], rng.randint(1, min(3, number)))
        sources[f"f{number}"] = parents
        record(work, f"make f{number}", [p.encode() for p in parents], [f"f{number}".encode()])
    if rng.random() < 0.5:
        work.repo.add(all=True)
        work.repo.commit("all")
    edited = set(rng.sample(sorted(contents), rng.randint(1, 3)))
    work.write({name.encode(): text("edited") for name in edited})

    def changed(name: str) -> bool:
        """Whether what was read of a file is not there any more, or would be another."""
        return name in edited or any(changed(each) for each in sources.get(name, []))

    expected = {n for n, p in sources.items() if n not in edited and any(changed(each) for each in p)}
    found = stale(work.repo)
    assert {os.fsdecode(each.path) for each in found} == expected
    place = {os.fsdecode(each.path): number for number, each in enumerate(found)}
    for name, number in place.items():
        assert all(place[each] < number for each in sources[name] if each in place)
