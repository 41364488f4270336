"""Checks of repairs and releases for fsck: their chains can be read, and hold what they say they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from blake3 import blake3

from dsvc.model.errors import CorruptDataError, MalformedInputError
from dsvc.porcelain.records import release_chain, repair_chain
from dsvc.porcelain.records.chain_check import ChainCheck

if TYPE_CHECKING:
    from dsvc.model.repair import Plan
    from dsvc.porcelain.records.repair_chain import RepairState

_REPAIR: Final = "F074"
_REPAIR_PARTS: Final = "F075"
_RELEASE: Final = "F076"
_DOCUMENTS: Final = "F077"


class RepairCheck(ChainCheck):
    """Checks all repairs and releases that refs lead to."""

    def check(self) -> None:
        """Check everything; what nodes, chunks and commits are missing or damaged is said elsewhere."""
        for id_ in self._ids(repair_chain.REPAIRS):
            self._repair(id_)
        for name in self._ids(release_chain.RELEASES):
            self._release(name)

    # Repairs

    def _repair(self, id_: str) -> None:
        what = f"repair:{id_}"
        if self._try(_REPAIR, what, lambda: self._plan(id_)):
            self._try(_REPAIR_PARTS, what, lambda: self._parts(repair_chain.repair_head(self._repo, id_)))

    def _plan(self, id_: str) -> None:
        state = repair_chain.repair_head(self._repo, id_)
        check_rows(state.plan)
        if any(not 0 <= number < len(state.plan.steps) for number in state.steps):
            raise MalformedInputError(f"repair {id_} has a step that its plan doesn't have")
        if (state.proof is None) != (state.commit is None):
            raise MalformedInputError(f"repair {id_} has a proof without a commit, or none with one")

    def _parts(self, state: RepairState) -> None:
        from dsvc.lineage.run_check import check_run
        from dsvc.lineage.run_tree import RunTree
        from dsvc.porcelain.repair.repair_world import decode_correspondence

        action = state.plan.action
        if action.file is not None:
            repair_chain.repair_file(self._repo, state, action.file)
        code = repair_chain.repair_code(self._repo, state)
        if {path: blake3(data).hexdigest() for path, data in code.items()} != {
            path.encode(): digest for path, digest in action.code.items()
        }:
            raise CorruptDataError(f"repair {state.id} has other files of code than its plan names")
        for number, run in state.steps.items():
            tree = RunTree(self._repo.store, run)
            flaw = next(iter(check_run(tree)), None)
            if flaw is not None:
                raise CorruptDataError(f"step {number} of repair {state.id}: {flaw.message}")
            for output, each in enumerate(tree.run.outputs):
                data = repair_chain.repair_part(self._repo, state, b"rows/%d-%d" % (number, output))
                if data is not None and each.records is not None:
                    decode_correspondence(data, each.records)

    # Releases

    def _release(self, name: str) -> None:
        what = f"release:{name}"
        if self._try(_RELEASE, what, lambda: self._facts(name)):
            self._try(_DOCUMENTS, what, lambda: self._documents(name))

    def _facts(self, name: str) -> None:
        state = release_chain.release_head(self._repo, name)
        if state.created is None:
            return
        facts = release_chain.facts_of(self._repo, state)
        release_chain.known_refs(self._repo, state)
        release_chain.release_packs(self._repo, state)
        data = release_chain.release_trees(self._repo, state).get(release_chain.DATA)
        if facts.name != name or facts.commit != state.commit or data is None or data.hex() != facts.manifest:
            raise MalformedInputError(f"release {name} has the facts of another one")

    def _documents(self, name: str) -> None:
        from dsvc.porcelain.release.release_tag import ReleaseTag

        state = release_chain.release_head(self._repo, name)
        if state.created is None:
            return
        said = set((ReleaseTag(self._repo, name).text or "").splitlines())
        for path in release_chain.DOCUMENTS:
            data = release_chain.release_part(self._repo, state, path)
            line = f"Dsvc-Document: {path.decode()} {blake3(data).hexdigest()}"
            if said and line not in said:
                raise CorruptDataError(f"release {name}: {path.decode()} is not the one that its tag names")
        notes = release_chain.facts_of(self._repo, state).notes.encode("utf-8", "surrogatepass")
        if release_chain.release_part(self._repo, state, release_chain.NOTES) != notes:
            raise CorruptDataError(f"release {name}: its notes are not those of its facts")


def check_rows(plan: Plan) -> None:
    """See that a plan's sets of rows can be read, and are as many as it says.

    Raises
    ------
    MalformedInputError
        If one isn't.
    """
    from dsvc.lineage.row_set import decode_rows

    for each in plan.rows:
        found = [decode_rows(rows) for rows in (each.flagged, each.selected, each.consequent)]
        if tuple(map(len, found)) != each.counts or any(
            len(rows) and rows[-1] >= each.records for rows in found
        ):
            raise MalformedInputError("a plan counts other rows than it names, or rows that there are not")
    for gone in plan.gone:
        if len(decode_rows(gone.rows)) != gone.count:
            raise MalformedInputError("a plan counts other rows than it names")
    if plan.left and len(decode_rows(plan.left)) != plan.left_count:
        raise MalformedInputError("a plan counts other rows than it names")
