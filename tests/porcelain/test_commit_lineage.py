"""Which runs and sources a commit's lineage holds, and that gc and fsck know all of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from dsvc.lineage.artifacts import file_artifact, folder_artifact, relative
from dsvc.lineage.lineage_tree import LineageTree
from dsvc.lineage.run_tree import Files, RunTree, store_run
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry, tree_entry
from dsvc.model.run_record import Agent, Artifact, Code, Environment, Input, Output, Run, RunId, RunKind
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.porcelain.state.pending_runs import add_pending, pending_runs
from dsvc.porcelain.state.values import ResetMode
from dsvc.store.manifest_tree import EMPTY_ROOT, Manifest
from tests.porcelain.working import Work, text


def _as(kind: type[Input | Output], artifact: Artifact) -> Input | Output:
    return kind(**msgspec.structs.asdict(artifact))


def record(
    work: Work,
    name: str,
    inputs: list[bytes],
    outputs: list[bytes],
    *,
    folder: bytes = b"",
    map_: bytes = b"",
) -> RunId:
    """Store a run over files that are staged, and let it wait for a commit."""
    repo = work.repo
    manifest = repo.manifest(repo.staged().root)

    def files(path: bytes) -> tuple[Artifact, Files]:
        if path == folder:
            members = relative(manifest.entries(path), path)
            return folder_artifact(path, members), Files(members, True)
        entry = manifest.get(path)
        assert entry is not None
        return file_artifact(entry), Files([entry], False)

    read, made = [files(path) for path in inputs], [files(path) for path in outputs]
    run = Run(
        name=name,
        kind=RunKind.FILTER,
        inputs=tuple(_as(Input, artifact) for artifact, _ in read),  # type: ignore[misc]
        outputs=tuple(_as(Output, artifact) for artifact, _ in made),  # type: ignore[misc]
        code=Code(),
        environment=Environment(packages={"b": "2", "a": "1"}),
        agent=Agent("安", "an@example.org"),
        started_at="2026-01-01T00:00:00.000Z",
        ended_at="2026-01-01T00:00:01.000Z",
        parameters={"比例": "0.5"},
    )
    id_ = store_run(
        repo.store,
        run,
        inputs=[f for _, f in read],
        outputs=[f for _, f in made],
        parts={b"patch": b"of the code"},
    )
    repo.store.publish()
    add_pending(repo.layout, id_, durable=False)
    return id_


def add(work: Work, **contents: str) -> None:
    work.write({name.replace("__", "/").encode(): text(content) for name, content in contents.items()})
    work.repo.add(all=True)


def runs(work: Work, rev: str = "HEAD") -> set[RunId]:
    return set(lineage_of(work.repo, work.repo.history.revisions.resolve(rev)).runs())


def test_a_commit_takes_the_runs_its_files_descend_from(work: Work) -> None:
    add(work, raw="1", clean="2", final="3", other="4")
    clean = record(work, "clean", [b"raw"], [b"clean"])
    final = record(work, "final", [b"clean"], [b"final"])
    work.write({b"other": text("5")})
    stays = record(work, "other", [b"raw"], [b"other"])
    work.write({b"clean": None, b"other": None})
    work.repo.add(all=True)
    work.repo.commit("final alone: its run reads what another run made")
    assert runs(work) == {clean, final}
    assert pending_runs(work.repo.layout) == [stays]


def test_a_run_alone_is_enough_for_a_commit(work: Work) -> None:
    add(work, raw="1", clean="2")
    first = work.repo.commit("data").commit
    assert work.repo.history.read_commit(first).lineage is None
    id_ = record(work, "clean", [b"raw"], [b"clean"])
    work.repo.commit("its lineage")
    assert runs(work) == {id_}
    assert pending_runs(work.repo.layout) == []


def test_folders_and_parts_come_back(work: Work) -> None:
    add(work, raw__a="1", raw__b="2", list="3")
    id_ = record(work, "list", [b"raw"], [b"list"], folder=b"raw", map_=b"map")
    tree = RunTree(work.reopen().store, id_)
    assert [entry.path for entry in tree.input_files(0)] == [b"raw/a", b"raw/b"]
    assert tree.run.inputs[0].records == 2
    assert tree.run.parameters == {"比例": "0.5"}
    assert list(tree.run.environment.packages) == ["a", "b"]
    assert tree.part(b"patch") == b"of the code"
    assert tree.part(b"maps/9-9") is None


@pytest.mark.parametrize("mode", list(ResetMode))
def test_runs_of_a_commit_that_is_left_wait_again(work: Work, mode: ResetMode) -> None:
    add(work, raw="1")
    work.repo.commit("raw")
    add(work, clean="2")
    id_ = record(work, "clean", [b"raw"], [b"clean"])
    work.repo.commit("clean")
    work.repo.reset("HEAD~1", mode)
    assert pending_runs(work.repo.layout) == [id_]
    add(work, clean="2")
    work.repo.commit("again")
    assert runs(work) == {id_}


def test_undo_and_amend_lose_no_run(work: Work) -> None:
    add(work, raw="1")
    work.repo.commit("raw")
    add(work, clean="2")
    id_ = record(work, "clean", [b"raw"], [b"clean"])
    work.repo.commit("clean")
    work.repo.commit("clean, said better", amend=True)
    assert runs(work) == {id_}
    work.repo.undo()
    work.repo.undo()
    assert pending_runs(work.repo.layout) == [id_]
    work.repo.commit("once more")
    assert runs(work) == {id_}


def test_a_merge_unites_the_runs_of_both_sides(work: Work) -> None:
    add(work, raw="1")
    work.repo.commit("raw")
    work.repo.checkout(new_branch="side")
    add(work, one="2")
    one = record(work, "one", [b"raw"], [b"one"])
    work.repo.commit("one")
    work.repo.checkout("main")
    add(work, two="3")
    two = record(work, "two", [b"raw"], [b"two"])
    work.repo.commit("two")
    work.repo.merge("side")
    assert runs(work) == {one, two}


def test_gc_keeps_what_a_run_read_and_made(work: Work) -> None:
    add(work, raw="of this version only", clean="2")
    id_ = record(work, "clean", [b"raw"], [b"clean"])
    add(work, raw="another", clean="other")
    work.repo.commit("neither")
    work.repo.gc(grace_seconds=0)
    tree = RunTree(work.reopen().store, id_)
    entry = tree.input_files(0)[0]
    assert bytes(work.repo.store.get(entry.digest)) == b"of this version only"
    work.write({b"clean": text("2")})
    work.repo.add(all=True)
    work.repo.commit("taken")
    work.repo.gc(grace_seconds=0)
    assert bytes(work.reopen().store.get(entry.digest)) == b"of this version only"
    assert work.repo.fsck(read_data=True).ok


def test_fsck_sees_a_damaged_pending_run(work: Work) -> None:
    add(work, raw="1", clean="2")
    id_ = record(work, "clean", [b"raw"], [b"clean"])
    path = Path(work.repo.layout.work, "runs", id_.hex())
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert {defect.id for defect in work.repo.fsck().defects} == {"F050"}
    assert {defect.id for defect in work.repo.fsck(repair=True).defects} == set()


# Hostile


def commit_of(work: Work, root: NodeId, lineage: NodeId | None = None) -> CommitId:
    """Make a commit as no dsvc does."""
    repo = work.repo
    repo.store.publish()
    who = repo.signature()
    head = repo.history.refs.head()
    prepared = repo.history.commit(
        parents=[] if head.commit is None else [head.commit],
        manifest=root,
        files=Manifest(repo.store, root, trees=True).totals()[0],
        bytes=0,
        message="forged",
        author=who,
        committer=who,
        lineage=lineage,
        branch="refs/heads/forged",
    )
    repo.record("branch", changes=prepared.changes, objects=prepared.objects)
    return prepared.id


def test_files_are_never_trees(work: Work) -> None:
    add(work, raw="1")
    work.repo.commit("raw")
    inner = work.repo.manifest(work.repo.staged().root)
    root = Manifest(work.repo.store, EMPTY_ROOT, trees=True).update(
        [(b"evil", tree_entry(b"evil", inner.root))]
    )
    commit_of(work, root)
    for attempt in (
        lambda: work.repo.checkout("forged"),
        lambda: list(work.repo.ls("forged")),
        lambda: work.repo.diff("HEAD", "forged"),
    ):
        with pytest.raises(MalformedInputError):
            attempt()  # type: ignore[no-untyped-call]


def test_a_run_under_another_name_is_refused(work: Work) -> None:
    add(work, raw="1", clean="2")
    id_ = record(work, "clean", [b"raw"], [b"clean"])
    path = b"runs/" + b"0" * 64
    root = Manifest(work.repo.store, EMPTY_ROOT, trees=True).update([(path, tree_entry(path, id_))])
    with pytest.raises(MalformedInputError):
        LineageTree(work.repo.store, root).runs()


def test_a_tree_has_no_content_of_its_own() -> None:
    from dsvc.model.manifest import check_entry

    check_entry(tree_entry(b"runs/a", bytes(32)))
    with pytest.raises(MalformedInputError):
        check_entry(Entry(b"runs/a", 0o160000, 5, bytes(32), bytes(16)))
