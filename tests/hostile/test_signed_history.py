"""Signed commits that were changed or moved, refs set back, files of git that would rewrite the history."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dsvc.history.git_object import frame, object_id, signed_payload, with_signature
from dsvc.history.git_writer import GitWriter
from dsvc.history.ssh_signature import COMMITS
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import CommitId
from dsvc.porcelain.policy.signed_commits import SignatureReader, SignatureState
from dsvc.testing.faults import tried
from tests.forgingkit import outside
from tests.porcelain.working import Work
from tests.signkit import person, sign

ANN, EVE = person("ann@example.org"), person("eve@example.org")


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """Three signed commits of an officer; the first one names her as the only one."""
    (tmp_path / "keys").mkdir()
    ANN.save(tmp_path / "keys")
    work = Work(tmp_path / "数据")
    work.repo.config.set("user.signingKey", str(tmp_path / "keys/id"))
    work.write({b"dsvc.toml": f"[roles]\ncompliance_officer = ['{ANN.line}']\n".encode()})
    for content in (b"1", b"2", b"3"):
        work.write({b"a": content})
        work.repo.add(all=True)
        work.repo.commit(f"第 {content.decode()}", sign=True)
    return work


def signer_of(work: Work, data: bytes) -> SignatureState | None:
    """What a commit's signature is worth to the verbs that show it; None where it has none or isn't read."""
    (id_,) = GitWriter(str(work.folder / ".dsvc/git"), durable=False).write([("commit", data)])
    repo = work.reopen()
    try:
        found = SignatureReader(repo).read(repo.history.read_commit(id_))
    except MalformedInputError:
        return None
    assert found is None or (found.state is SignatureState.GOOD) == (found.key is not None)
    return None if found is None else found.state


def head_of(work: Work) -> CommitId:
    head = work.repo.history.refs.head().commit
    assert head is not None
    return head


FORGERIES: dict[str, Callable[[bytes], bytes]] = {
    "a header after the signature": lambda data: data.replace(b"\n\n", b"\nencoding latin1\n\n", 1),
    "a header before the signature": lambda data: data.replace(
        b"\ngpgsig ", b"\nencoding latin1\ngpgsig ", 1
    ),
    "another tree": lambda data: b"tree " + b"0" * 40 + data[45:],
    "another parent": lambda data: data.replace(b"\nauthor", b"\nparent " + b"1" * 40 + b"\nauthor", 1),
    "no parent": lambda data: b"\n".join(
        line for line in data.split(b"\n") if not line.startswith(b"parent ")
    ),
    "another author": lambda data: data.replace(b"\nauthor Ann", b"\nauthor Eve", 1),
    "another date": lambda data: data.replace(b" +0000\n", b" +0100\n", 1),
    "another message": lambda data: data + b"x\n",
    "a second root": lambda data: data.rstrip(b"\n") + b"\nDsvc-Manifest: " + b"0" * 64 + b"\n",
    "the signature twice": lambda data: with_signature(data, signature_of(data)),
    "the signature under another name": lambda data: data.replace(b"\ngpgsig ", b"\ngpgsig-sha256 ", 1),
}


def signature_of(data: bytes) -> bytes:
    from dsvc.history.git_object import parse_commit

    signature = parse_commit(data).signature
    assert signature is not None
    return signature


def test_h61_a_commit_with_more_or_less_than_what_was_signed(work: Work) -> None:
    _, data = work.repo.history.odb.read(head_of(work))
    assert signer_of(work, data) is SignatureState.GOOD
    for what, forge in FORGERIES.items():
        forged = forge(data)
        assert forged != data, what
        assert signer_of(work, forged) in (SignatureState.BAD, None), what
    tried("hostile cases", len(FORGERIES))


def test_h61_a_signature_over_other_bytes(work: Work) -> None:
    _, data = work.repo.history.odb.read(head_of(work))
    payload = signed_payload(data)
    framed = frame("commit", payload)
    wrong = {
        "its frame": sign(framed, ANN.private, COMMITS),
        "its id": sign(object_id("commit", payload).encode(), ANN.private, COMMITS),
        "all of it": sign(data, ANN.private, COMMITS),
        "nothing": sign(b"", ANN.private, COMMITS),
        "it, for another purpose": sign(payload, ANN.private, "file"),
        "it, as a waiver": sign(payload, ANN.private, "dsvc-waiver"),
        "it, cut": sign(payload[:-1], ANN.private, COMMITS),
    }
    for what, signature in wrong.items():
        assert signer_of(work, with_signature(payload, signature)) is SignatureState.BAD, what
    assert (
        signer_of(work, with_signature(payload, sign(payload, ANN.private, COMMITS))) is SignatureState.GOOD
    )
    tried("hostile cases", len(wrong))


def test_h60_a_good_signature_of_somebody_else_is_nobodys(work: Work) -> None:
    _, data = work.repo.history.odb.read(head_of(work))
    payload = signed_payload(data)
    forged = with_signature(payload, sign(payload, EVE.private, COMMITS))
    (id_,) = GitWriter(str(work.folder / ".dsvc/git"), durable=False).write([("commit", forged)])
    repo = work.reopen()
    found = SignatureReader(repo).read(repo.history.read_commit(id_))
    assert found is not None
    assert (found.state, found.key, found.signer) == (
        SignatureState.GOOD,
        EVE.key.public.fingerprint,
        None,
    )


@pytest.mark.parametrize("by", ["file", "packed", "gone"])
def test_h61_a_branch_set_back_to_an_older_signed_commit_is_noticed(work: Work, by: str) -> None:
    """The commit is whole and its signature good; that the branch was further is in its log."""
    git = work.folder / ".dsvc/git"
    ref = git / "refs/heads/main"
    old = work.repo.history.read_commit(head_of(work)).parents[0]
    if by == "file":
        ref.write_text(old + "\n")
    elif by == "packed":
        ref.unlink()
        (git / "packed-refs").write_text(
            f"# pack-refs with: peeled fully-peeled sorted \n{old} refs/heads/main\n"
        )
    else:
        ref.unlink()
    report = work.reopen().fsck()
    numbers = {defect.id for defect in report.defects if defect.object == "refs/heads/main"}
    assert numbers == {"F041" if by == "gone" else "F046"}


def rewritten(work: Work) -> dict[str, bytes]:
    """Files by which git, or a reader of its files, would see another history."""
    repo = work.repo
    head = head_of(work)
    parent = repo.history.read_commit(head).parents[0]
    first = repo.history.read_commit(parent).parents[0]
    elsewhere = work.folder.parent / "elsewhere/objects"
    elsewhere.mkdir(parents=True, exist_ok=True)
    return {
        # A cycle: no true id has one, but a graft could say so.
        "info/grafts": f"{first} {head}\n{parent} {head}\n".encode(),
        "shallow": f"{head}\n".encode(),
        f"refs/replace/{head}": f"{first}\n".encode(),
        f"refs/replace/{first}": f"{head}\n".encode(),
        "objects/info/alternates": os.fsencode(elsewhere) + b"\n",
        "objects/info/http-alternates": b"http://127.0.0.1/\n",
        "objects/info/commit-graph": b"CGPH\1\1\0\0" + bytes(1000),
        "objects/pack/multi-pack-index": b"MIDX\1\1\0\0" + bytes(1000),
        "commondir": b"../../elsewhere\n",
        "gitdir": b"../../elsewhere\n",
        "config.worktree": b"[core]\n\tworktree = /\n",
    }


def test_h21_h61_files_that_rewrite_a_history_of_git_change_nothing(work: Work) -> None:
    def seen() -> object:
        repo = work.reopen()
        head = head_of(work)
        return (
            [commit.id for commit in repo.history.log([head])],
            repo.history.merge_bases(head, repo.history.read_commit(head).parents[0]),
            repo.status().clean,
            [(entry.path, entry.digest) for entry in repo.manifest_of("HEAD").entries()],
            [operation.id for operation in repo.history.operations],
        )

    before = seen()
    around = outside(work)
    git = work.folder / ".dsvc/git"
    for name, data in rewritten(work).items():
        path = git / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        assert seen() == before, name
        tried("hostile cases")
    assert {defect.id for defect in work.reopen().fsck().defects} <= {"F040", "F041", "F046"}
    work.repo.gc(grace_seconds=0)
    assert seen() == before
    assert {path: each for path, each in outside(work).items() if "elsewhere" not in path} == around
