"""Graphs made to be walked for ever, of commits and of runs: 2^60 ways, or very wide, or very deep."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from dsvc.cli.main import run as dsvc
from dsvc.history.commit_codec import encode_commit
from dsvc.history.git_object import GitObject, object_id
from dsvc.history.git_writer import GitWriter
from dsvc.lineage.graph import ArtifactNode, EdgeKind, LineageCycleError, LineageGraph
from dsvc.model.ids import CommitId
from dsvc.porcelain.state.values import ResetMode
from tests.lineagekit import Lab, numbered
from tests.outside import watched
from tests.porcelain.working import Work


@pytest.fixture
def work(fast_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.chdir(fast_path)
    work = Work(fast_path / "data")
    work.commit("first", {b"a": b"a\n"})
    return work


def planted(work: Work, name: str, parents_of: list[tuple[int, ...]]) -> CommitId:
    """A branch over commits of the same version, each on some of those before; the first is HEAD."""
    repo, head = work.repo, work.repo.history.refs.head().commit
    assert head is not None
    manifest = repo.history.read_commit(head).manifest
    ids, objects = [head], dict[CommitId, GitObject]()
    for number, parents in enumerate(parents_of):
        made = encode_commit(
            parents=[ids[parent] for parent in parents],
            author=repo.signature(),
            committer=repo.signature(),
            message=f"{name} {number}",
            manifest=manifest,
            files=1,
            bytes=2,
        )
        objects |= {object_id(*each): each for each in made}
        ids.append(object_id(*made[-1]))
    GitWriter(str(work.folder / ".dsvc/git"), durable=False).write(list(objects.values()))
    (work.folder / ".dsvc/git/refs/heads" / name).write_text(ids[-1] + "\n")
    return ids[-1]


def lattice(layers: int) -> list[tuple[int, ...]]:
    """Two commits a layer, each on both of the layer before: 2^layers ways to the first one."""
    found: list[tuple[int, ...]] = [(0,), (0,)]
    for layer in range(1, layers):
        below = (2 * layer - 1, 2 * layer)
        found += [below, below]
    return [*found, (2 * layers - 1, 2 * layers)]


SHAPES: dict[str, Callable[[int], list[tuple[int, ...]]]] = {
    "lattice": lambda size: lattice(size // 2),
    "octopus": lambda size: [*[(0,)] * size, tuple(range(1, min(size, 1000) + 1))],
    "line": lambda size: [(number,) for number in range(size)],
    "ladder": lambda size: [tuple({number, max(0, number - 2)}) for number in range(size)],
}


@pytest.mark.parametrize("size", [120, pytest.param(3000, marks=pytest.mark.soak)])
def test_h21_verbs_over_histories_with_2_60_ways(work: Work, size: int) -> None:
    cases: dict[str, Callable[[], object]] = {}
    for name, shape in SHAPES.items():
        tip = planted(work, name, shape(size))
        verbs: dict[str, Callable[[], object]] = {
            "log": lambda name=name: len(list(work.reopen().log(name))),
            "bases": lambda tip=tip: work.reopen().history.merge_bases(
                tip, work.repo.history.refs.head().commit
            ),
            "ancestor": lambda tip=tip: work.reopen().history.is_ancestor(
                work.repo.history.refs.head().commit, tip
            ),
            "graph": lambda name=name: dsvc(["-C", str(work.folder), "log", "--graph", "--oneline", name]),
            "range": lambda name=name: dsvc(["-C", str(work.folder), "log", f"HEAD..{name}"]),
            "blame": lambda name=name: dsvc(["-C", str(work.folder), "blame", f"{name}:a"]),
            "check": lambda name=name: dsvc(["-C", str(work.folder), "check", name]),
            "merge": lambda name=name: work.reopen().merge(name),
            "status": lambda: work.reopen().status().clean,
            "back": lambda: work.reopen().reset("main@{1}", ResetMode.HARD),
        }
        cases |= {f"{name} {verb}": command for verb, command in verbs.items()}
    cases["fsck"] = lambda: work.reopen().fsck().ok
    cases["gc"] = lambda: bool(work.reopen().gc(grace_seconds=0))
    seconds = 5 if size < 1000 else 60
    ended = watched(cases, work.folder, seconds=seconds)
    assert {name: each.error for name, each in ended.items() if each.error} == {}
    for name, shape in SHAPES.items():
        made = shape(size)
        reached, pending = {len(made)}, [len(made)]
        while pending:
            at = pending.pop()
            for parent in made[at - 1] if at else ():
                if parent not in reached:
                    reached.add(parent)
                    pending.append(parent)
        assert ended[f"{name} log"].value == len(reached), name
        assert ended[f"{name} check"].value in (0, 1, 22)


def test_h21_more_parents_than_any_merge_has_are_refused(work: Work) -> None:
    git = work.folder / ".dsvc/git"
    head = work.repo.history.refs.head().commit
    _, data = work.repo.history.odb.read(head)
    for count in (1001, 10_000, 300_000):
        parents = b"".join(b"parent %040x\n" % number for number in range(count))
        forged = data.replace(b"author ", parents + b"author ", 1)
        (id_,) = GitWriter(str(git), durable=False).write([("commit", forged)])
        (git / f"refs/heads/wide-{count}").write_text(id_ + "\n")
    cases = {
        f"{verb} {count}": lambda verb=verb, count=count: dsvc(
            ["-C", str(work.folder), verb, f"wide-{count}"]
        )
        for verb in ("log", "merge", "checkout", "cherry-pick", "check")
        for count in (1001, 10_000, 300_000)
    }
    for name, ended in watched(cases, work.folder).items():
        # `check` says that it can't tell, which is no yes.
        assert ended.value in ((1,) if name.split()[0] == "check" else (41,)), f"{name}: {ended.output}"
    assert {defect.id for defect in work.reopen().fsck().defects} == {"F043"}


@pytest.mark.parametrize("count", [30_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_h22_many_edges_at_one_node_and_long_chains(fast_path: Path, count: int) -> None:
    nodes = [ArtifactNode(b"%d" % number, number.to_bytes(32, "big")) for number in range(count + 1)]

    def wide() -> int:
        graph = LineageGraph()
        for node in nodes[1:]:
            graph.add_edge(nodes[0], node, EdgeKind.COPIED)
        with pytest.raises(LineageCycleError):
            graph.add_edge(nodes[0], nodes[0], EdgeKind.COPIED)
        return len(graph.descendants(nodes[0]))

    def narrow() -> int:
        graph = LineageGraph()
        for node in nodes[1:]:
            graph.add_edge(node, nodes[0], EdgeKind.COPIED)
        return len(graph.ancestors(nodes[0]))

    def deep() -> int:
        graph = LineageGraph()
        for before, after in pairwise(nodes):
            graph.add_edge(before, after, EdgeKind.COPIED)
        return len(graph.descendants(nodes[0]))

    seconds, memory = (5, 512 << 20) if count < 100_000 else (120, 4 << 30)
    ended = watched({"wide": wide, "narrow": narrow, "deep": deep}, fast_path, seconds=seconds, memory=memory)
    assert {each.value for each in ended.values()} == {count}


@pytest.mark.parametrize("layers", [12, pytest.param(60, marks=pytest.mark.soak)])
def test_h22_questions_over_runs_with_2_60_ways(work: Work, layers: int) -> None:
    lab = Lab(work)
    names = [[b"%02d%s.csv" % (layer, side) for side in (b"a", b"b")] for layer in range(layers)]
    files = lab.put({name: numbered(3, name.decode()) for layer in names for name in layer})
    same = {(0, i): [(n, n) for n in range(3)] for i in range(2)}
    lab.source("web", [files[name] for name in names[0]])
    for before, after in pairwise(names):
        for name in after:
            lab.run("both", [files[each] for each in before], [files[name]], same)
    lab.commit()
    first, last = names[0][0].decode(), names[-1][0].decode()
    questions = [
        ["check"],
        ["trace", last],
        ["trace", f"{last}#@0"],
        ["--json", "trace", last],
        ["impact", first],
        ["impact", f"{first}#@0"],
        ["impact", "source:web"],
        ["--json", "impact", "--all", "source:web"],
        ["lineage"],
        ["lineage", last],
        ["lineage", "--format", "json"],
        ["lineage", "--format", "dot", last],
        ["blame", last],
    ]
    cases = {
        " ".join(words): lambda words=words: dsvc(["-C", str(work.folder), *words]) for words in questions
    }
    # Room for the address space of the engines; the process that reads tables has limits of its own.
    for name, ended in watched(cases, work.folder, memory=2 << 30).items():
        assert ended.value in (0, 1, 21, 22), f"{name}: {ended.value} {ended.output[-500:]}"
        assert len(ended.output) < 1 << 20, name
