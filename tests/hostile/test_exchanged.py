"""Objects in the places of others, stores put back from a backup, refs without commits (F17, F18)."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from dsvc.model.errors import CorruptDataError, DsvcError, MalformedInputError, MissingDataError
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.state.values import ResetMode
from dsvc.store.block import ItemType
from dsvc.testing.checker import commit_contents, tree_state
from dsvc.testing.faults import tried
from dsvc.testing.image import Image
from tests.faultkit import commit_all, repository, write
from tests.policyworlds import objects, put_packs
from tests.wholekit import QUESTIONS, image, refuse_lies

VERSIONS = [
    {b"a": b"one\n", b"folder/b": b"b\n"},
    {b"a": b"two\n", b"folder/b": b"b\n", b"c": b"c\n"},
    {b"a": b"three\n", b"folder/b": b"changed\n", b"c": b"c\n"},
]


@pytest.mark.parametrize("count", [15, pytest.param(600, marks=pytest.mark.soak)])
def test_f17_an_object_replaced_by_a_valid_one_is_named(fast_path: Path, count: int) -> None:
    """A manifest, a record of lineage or policy, a chunk: with the bytes of another, of its kind or not."""
    seed = 17
    print("seed", seed)
    generator = random.Random(seed)
    root = str(fast_path / "repo")
    image().lay_out(root)
    shutil.rmtree(os.path.join(root, ".dsvc/trash"))
    os.mkdir(os.path.join(root, ".dsvc/trash"))
    found = [each for each in objects(root) if each.data]
    structured = [each for each in found if each.type != ItemType.CHUNK]
    for number in range(count):
        one = generator.choice(structured if number % 3 else found)
        kin = [
            each for each in found if (each.type == one.type) == bool(number % 2) and each.data != one.data
        ]
        other = generator.choice(kin)
        for item_type in {one.type, other.type}:
            put_packs(
                root,
                [
                    each if each is not one else one._replace(data=other.data, type=item_type)
                    for each in found
                ],
            )
            with repository(root) as repo:
                assert not repo.fsck(read_data=True).ok
            what = f"{one.id.hex()[:12]} replaced by {other.id.hex()[:12]}"
            refuse_lies(root, what, *generator.sample(list(QUESTIONS), 2))
            tried("hostile cases")


def grown(folder: Path) -> tuple[str, list[str], list[Image]]:
    """A repository of three commits, with its `.dsvc` as it was after each."""
    root = str(folder / "repo")
    os.mkdir(root)
    Repository.init(root)
    commits, images = [], []
    for contents in VERSIONS:
        write(root, contents)
        with repository(root) as repo:
            commits.append(str(commit_all(repo, "more")))
            repo.status()
        images.append(Image(os.path.join(root, ".dsvc")))
    return root, commits, images


def put_back(root: str, old: Image, *parts: str) -> None:
    """Restore some folders of `.dsvc` from a backup."""
    fresh = os.path.join(root, "backup")
    old.lay_out(fresh)
    for part in parts:
        at = os.path.join(root, ".dsvc", part)
        shutil.rmtree(at)
        shutil.move(os.path.join(fresh, part), at)
    shutil.rmtree(fresh)


READS = {
    "status": lambda repo: repo.status(),
    "log": lambda repo: list(repo.log()),
    "add": lambda repo: repo.add(all=True),
    "commit": lambda repo: repo.commit("next", all=True, allow_empty=True),
    "files": lambda repo: list(repo.manifest_of("HEAD").entries()),
}


@pytest.mark.parametrize("parts", [("packs",), ("git/objects",)], ids=["packs", "git objects"])
@pytest.mark.parametrize("left", [0, 1])
def test_f18_a_store_from_an_older_backup_is_found_out(
    fast_path: Path, parts: tuple[str, ...], left: int
) -> None:
    """Refs are of today, what they need is missing: the last whole commit is named, and reset goes there."""
    root, commits, images = grown(fast_path)
    files = tree_state(root)
    put_back(root, images[left], *parts)
    with repository(root) as repo:
        found = repo.fsck()
        assert not found.ok
        assert found.last_whole == {"refs/heads/main": commits[left]}
    for name in ("status", "log", "files") if parts == ("git/objects",) else ("files",):
        with repository(root) as repo, pytest.raises((MissingDataError, CorruptDataError)):
            READS[name](repo)
    with repository(root) as repo, pytest.raises(DsvcError):
        repo.gc(grace_seconds=0)
    assert tree_state(root) == files
    with repository(root) as repo:
        repo.reset(commits[left], ResetMode.MIXED, [])
    assert tree_state(root) == files
    with repository(root) as repo:
        repo.add(all=True)
        commit = repo.commit("again").commit
        assert commit_contents(repo, commit) == VERSIONS[-1]
    tried("hostile cases")


def test_f18_refs_from_an_older_backup_are_found_out(fast_path: Path) -> None:
    """The logs know better."""
    root, commits, images = grown(fast_path)
    put_back(root, images[0], "git/refs")
    with repository(root) as repo:
        found = repo.fsck()
        assert "F046" in {each.id for each in found.defects}
        assert any(commits[2][:12] in each.message for each in found.defects)
        assert commit_contents(repo, repo.history.refs.list("refs/heads/")["refs/heads/main"]) == VERSIONS[0]
    tried("hostile cases")


def test_f18_f20_all_of_an_older_backup_beside_a_newer_tree(fast_path: Path) -> None:
    """A whole older state: whatever changed since is seen, though the stat cache is older than the tree."""
    root, _, images = grown(fast_path)
    files = tree_state(root)
    shutil.rmtree(os.path.join(root, ".dsvc"))
    images[0].lay_out(os.path.join(root, ".dsvc"))
    with repository(root) as repo:
        assert repo.fsck(read_data=True).ok
        status = repo.status(untracked="all")
        assert [each.path for each in status.unstaged] == [b"a", b"folder/b"]
        assert [each.path for each in status.untracked] == [b"c"]
        repo.add(all=True)
        assert commit_contents(repo, repo.commit("again").commit) == VERSIONS[-1]
    assert tree_state(root) == files
    tried("hostile cases")


@pytest.mark.parametrize("value", ["gone", "unknown", "another branch"])
def test_f18_a_branch_without_its_commit_is_no_branch_without_commits(fast_path: Path, value: str) -> None:
    """HEAD's branch is missing, stands on what isn't there, or HEAD names one that never was."""
    root, commits, _ = grown(fast_path)
    git = Path(root, ".dsvc/git")
    main = git / "refs/heads/main"
    if value == "gone":
        main.unlink()
    elif value == "unknown":
        main.write_text("1" * 40 + "\n")
    else:
        (git / "HEAD").write_text("ref: refs/heads/maio\n")
    for name, read in READS.items():
        with repository(root) as repo, pytest.raises((MissingDataError, MalformedInputError)):
            print(name, read(repo))
    with repository(root) as repo:
        found = repo.fsck()
        assert any(each.id == "F041" for each in found.defects)
        if value == "another branch":
            repo.checkout("main")
        else:
            assert found.last_whole == {"refs/heads/main": commits[2]}
            repo.reset(commits[2], ResetMode.HARD, [])
    with repository(root) as repo:
        assert repo.status().clean
        assert repo.history.refs.head().commit == commits[2]
    tried("hostile cases")
