"""Commits signed by dsvc, checked by real git with real OpenSSH; and the other way round."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dsvc.history.ssh_signature import (
    COMMITS,
    PassphraseError,
    SignatureForgedError,
    SigningKeyError,
    verify,
)
from dsvc.model.ids import CommitId
from dsvc.porcelain.state.signing import Signing
from tests.porcelain.working import Work
from tests.signkit import SSH_KEYGEN, person

ANN = person("ann@example.org")
needs_tools = pytest.mark.skipif(
    shutil.which("git") is None or SSH_KEYGEN is None, reason="git or ssh-keygen is not installed"
)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    (tmp_path / "keys").mkdir()
    ANN.save(tmp_path / "keys")
    made = Work(tmp_path / "数据")
    made.repo.config.set("user.signingKey", str(tmp_path / "keys/id"))
    return made


def save(work: Work, name: bytes, content: bytes, **options: bool) -> CommitId:
    work.write({name: content})
    work.repo.add([name])
    return work.repo.commit(f"第 {content.decode()}", **options).commit


def git(work: Work, *words: str) -> subprocess.CompletedProcess[str]:
    signers = work.folder.parent / "signers"
    signers.write_text(f"ann@example.org {ANN.public}\n")
    settings = ("-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={signers}")
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": "/nonexistent"}
    return subprocess.run(
        ["git", f"--git-dir={work.folder}/.dsvc/git", *settings, *words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def signer_of(work: Work, commit: CommitId) -> str | None:
    found = work.repo.history.read_commit(commit)
    if found.signature is None:
        return None
    return str(verify(found.signature, work.repo.history.signed_bytes(commit), COMMITS))


@needs_tools
def test_git_accepts_what_dsvc_signs(work: Work) -> None:
    unsigned = save(work, b"a", b"1")
    signed = save(work, b"a", b"2", sign=True)
    assert git(work, "verify-commit", signed).returncode == 0
    assert "Good" in git(work, "verify-commit", "-v", signed).stderr
    assert git(work, "verify-commit", unsigned).returncode != 0
    assert git(work, "log", "--format=%G?%GS", "-1", signed).stdout == "Gann@example.org\n"
    assert git(work, "fsck", "--strict").returncode == 0
    assert (signer_of(work, unsigned), signer_of(work, signed)) == (None, ANN.public)
    assert work.repo.fsck().ok


@needs_tools
def test_every_verb_that_commits_signs_where_the_settings_say_so(work: Work) -> None:
    repo = work.repo
    save(work, b"a", b"1")
    repo.config.set("commit.sign", "true")
    work.branch("side")
    repo.checkout("main")
    save(work, b"a", b"2")
    repo.checkout("side")
    picked = save(work, b"b", b"3")
    repo.checkout("main")
    made = [repo.merge("side").commit, repo.revert(picked).commit, repo.cherry_pick(picked).commit]
    made.append(repo.commit("amended", amend=True).commit)
    for commit in made:
        assert commit is not None
        assert git(work, "verify-commit", commit).returncode == 0
    assert signer_of(work, save(work, b"a", b"4", sign=False)) is None


@needs_tools
def test_what_git_signs_is_accepted(work: Work) -> None:
    tip = save(work, b"a", b"1")
    message = git(work, "log", "-1", "--format=%B", tip).stdout
    words = ("-c", f"user.signingKey={work.folder.parent}/keys/id.pub", "-c", "user.name=Ann")
    mail = ("-c", "user.email=ann@example.org")
    made = git(work, *words, *mail, "commit-tree", "-S", "-p", tip, "-m", message, f"{tip}^{{tree}}")
    commit = CommitId.parse(made.stdout.strip())
    assert signer_of(work, commit) == ANN.public
    assert work.repo.history.verify_commit(commit).manifest == work.repo.history.read_commit(tip).manifest


@needs_tools
def test_a_key_that_only_ssh_keygen_reaches(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    work.repo.config.set("user.signingKey", str(work.folder.parent / "keys/id.pub"))
    work.repo.signing = Signing(environ={"PATH": os.environ["PATH"]})
    assert git(work, "verify-commit", save(work, b"a", b"1", sign=True)).returncode == 0
    # Neither an agent nor the private key: it says so, and nothing is committed.
    (work.folder.parent / "keys/id").unlink()
    before = work.everything()
    work.write({b"a": b"2"})
    work.repo.add([b"a"])
    with pytest.raises(SigningKeyError, match="ssh-keygen could not sign"):
        work.repo.commit("two", sign=True)
    work.repo.signing = Signing(environ={"PATH": "/nonexistent"})
    with pytest.raises(SigningKeyError, match="not installed"):
        work.repo.commit("two", sign=True)
    assert work.everything()[0] == before[0]


def test_h61_a_signature_moved_to_another_commit_does_not_hold(work: Work) -> None:
    from dsvc.history.git_object import object_id, signed_payload, with_signature

    signed = save(work, b"a", b"1", sign=True)
    other = save(work, b"a", b"2")
    signature = work.repo.history.read_commit(signed).signature
    assert signature is not None
    forged = with_signature(work.repo.history.odb.read(other)[1], signature)
    assert object_id("commit", forged) != other
    with pytest.raises(SignatureForgedError):
        verify(signature, signed_payload(forged), COMMITS)


def test_passphrases(work: Work) -> None:
    locked = person("locked@example.org", passphrase="密".encode()).save(work.folder.parent, "locked")
    repo = work.repo
    repo.config.set("user.signingKey", str(locked))
    repo.config.set("commit.sign", "true")
    with pytest.raises(PassphraseError):
        save(work, b"a", b"1")
    asked: list[str] = []
    repo.signing = Signing(ask=lambda path: asked.append(path) or "wrong")
    with pytest.raises(PassphraseError):
        repo.commit("one")
    repo.signing = Signing(ask=lambda path: asked.append(path) or "密")
    commit = repo.commit("one").commit
    assert signer_of(work, commit) == person("locked@example.org").public
    assert asked == [str(locked)] * 2


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "large", "text"])
def test_keys_that_are_none(work: Work, kind: str) -> None:
    path = work.folder.parent / "key"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind != "missing":
        path.write_bytes(b"x" * 100_000 if kind == "large" else "文".encode())
    work.repo.config.set("user.signingKey", str(path))
    before = work.everything()
    with pytest.raises(SigningKeyError):
        save(work, b"a", b"1", sign=True)
    assert work.repo.history.refs.head().commit is None
    work.repo.config.unset("user.signingKey")
    with pytest.raises(SigningKeyError, match="no key to sign with"):
        work.repo.commit("one", sign=True)
    assert before[0] == work.everything()[0]
