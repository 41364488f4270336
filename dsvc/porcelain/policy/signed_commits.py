"""Whose signature a commit carries, and whether it holds."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from dsvc.history.commit_codec import Commit
from dsvc.history.ssh_signature import COMMITS, SignatureUnverifiableError, verify
from dsvc.model.errors import MalformedInputError
from dsvc.policy.roster import Roster
from dsvc.porcelain.policy.roster import roster_in_force
from dsvc.porcelain.state.workspace import Workspace


class SignatureState(StrEnum):
    """What a signature is worth; a closed list."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


class CommitSignature(msgspec.Struct, frozen=True, kw_only=True):
    """The signature of a commit.

    Attributes
    ----------
    state : SignatureState
        ``unknown`` where it can't be checked.
    key : str or None
        Fingerprint of the key that made it, where it is good.
    signer : str or None
        What the roster in force calls whose key that is; None: it isn't listed.
    problem : str or None
        Why it isn't good.
    """

    state: SignatureState
    key: str | None = None
    signer: str | None = None
    problem: str | None = None


class SignatureReader:
    """Checks the signatures of commits; who holds a key is asked of the roster in force at HEAD.

    Parameters
    ----------
    repo : Workspace
    """

    def __init__(self, repo: Workspace) -> None:
        self._repo = repo
        self._roster: Roster | None = None
        self._asked = False

    def read(self, commit: Commit) -> CommitSignature | None:
        """Check the signature of a commit; None where it has none.

        Raises
        ------
        MissingDataError, CorruptDataError, MalformedInputError
            If the history can't be read.
        """
        if commit.signature is None:
            return None
        return self.check(commit.signature, self._repo.history.signed_bytes(commit.id))

    def check(self, signature: bytes, payload: bytes) -> CommitSignature:
        """Check a signature of a commit or a tag over what it covers; raises as `read`."""
        try:
            key = verify(signature, payload, COMMITS)
        except SignatureUnverifiableError as error:
            return CommitSignature(state=SignatureState.UNKNOWN, problem=error.message)
        except MalformedInputError as error:
            return CommitSignature(state=SignatureState.BAD, problem=error.message)
        roster = self._roster_now()
        name = None if roster is None else roster.name_of(key)
        return CommitSignature(state=SignatureState.GOOD, key=key.fingerprint, signer=name)

    def _roster_now(self) -> Roster | None:
        if not self._asked:
            head = self._repo.history.refs.head().commit
            if head is not None:
                commit = self._repo.history.read_commit(head)
                found = roster_in_force(self._repo, commit.manifest, head, commit.parents, target=head)
                self._roster = found.roster
            self._asked = True
        return self._roster
