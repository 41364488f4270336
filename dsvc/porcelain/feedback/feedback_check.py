"""Checks of evaluations and defects for fsck: what their chains hold can be read, and fits together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsvc.model.errors import MalformedInputError
from dsvc.porcelain.records import feedback_chain
from dsvc.porcelain.records.chain_check import ChainCheck
from dsvc.porcelain.records.defect_chain import DEFECTS, defect_at
from dsvc.porcelain.records.feedback_chain import EVIDENCE, FEEDBACK

if TYPE_CHECKING:
    from dsvc.store.manifest_tree import Manifest

_RECORD: Final = "F070"
_PARTS: Final = "F071"
_CHAIN: Final = "F072"
_EVIDENCE: Final = "F073"


class FeedbackCheck(ChainCheck):
    """Checks all evaluations and defects that refs lead to."""

    def check(self) -> None:
        """Check everything; what nodes, chunks and commits are missing or damaged is said elsewhere."""
        for chains, check in ((FEEDBACK, self._feedback), (DEFECTS, self._defect)):
            for id_ in self._ids(chains):
                check(id_)

    def _defect(self, id_: str) -> None:
        repo = self._repo
        self._try(_CHAIN, f"defect:{id_}", lambda: defect_at(repo, id_, DEFECTS.head(repo, id_)))

    def _feedback(self, id_: str) -> None:
        what = f"feedback:{id_}"
        if not self._try(_RECORD, what, lambda: self._record(id_)):
            return
        self._try(_PARTS, what, lambda: self._parts(id_))
        self._try(_EVIDENCE, what, lambda: self._evidence(id_))

    def _manifest(self, id_: str) -> Manifest:
        tip = FEEDBACK.head(self._repo, id_)
        return self._repo.manifest(self._repo.history.read_commit(tip).manifest)

    def _record(self, id_: str) -> None:
        root = self._manifest(id_).root
        if not bytes(root).hex().startswith(id_):
            raise MalformedInputError(f"feedback {id_} holds what is called {bytes(root).hex()[:12]}")
        feedback_chain.feedback_at(self._repo, FEEDBACK.head(self._repo, id_), id_)

    def _parts(self, id_: str) -> None:
        from dsvc.lineage.row_set import decode_rows

        repo = self._repo
        record = feedback_chain.feedback_head(repo, id_).record
        pointers = {each.pointer for each in feedback_chain.observations(repo, id_)}
        lost = sum(1 for _ in feedback_chain.unresolved(repo, id_))
        if lost != record.unresolved or len(pointers) > record.observations:
            raise MalformedInputError(f"feedback {id_} holds other observations than its record counts")
        feedback_chain.score_heads(repo, id_)
        for each in record.evaluated:
            if each.rows is not None and len(decode_rows(each.rows)) != each.count:
                raise MalformedInputError(f"feedback {id_} counts other rows as evaluated than it names")

    def _evidence(self, id_: str) -> None:
        record = feedback_chain.feedback_head(self._repo, id_).record
        entry = self._manifest(id_).get(EVIDENCE + b"/" + record.evidence.encode())
        if entry is None or entry.digest != record.evidence_digest:
            raise MalformedInputError(f"feedback {id_}: {record.evidence} is not the file of its record")
