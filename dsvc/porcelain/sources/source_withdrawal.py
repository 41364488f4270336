"""A source withdrawn together with something else, such as the repair that takes its rows out."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from dsvc.history.history import Prepared
from dsvc.history.refs import RefChange
from dsvc.model.ids import NodeId
from dsvc.model.source_operation import SourceOperation, SourceVerb
from dsvc.model.source_record import Status
from dsvc.porcelain.records.source_chain import State, head, prepare, source_ref
from dsvc.porcelain.state.workspace import Workspace


class Withdrawal(NamedTuple):
    """The operation that withdraws a source, stored and not published: its commit, the ref that moves.

    Attributes
    ----------
    manifest : NodeId
        The source's state then.
    """

    source_id: str
    prepared: Prepared
    change: RefChange
    manifest: NodeId


def prepare_withdrawal(repo: Workspace, source_id: str, reason: str) -> Withdrawal | None:
    """Prepare to withdraw a source; None where it is withdrawn already.

    Raises
    ------
    NoSuchSourceError
        If there is no such source.
    MissingDataError, CorruptDataError, MalformedInputError
        If it can't be read.
    """
    now = head(repo, source_id)
    record = now.tree.record
    if record.status is Status.WITHDRAWN:
        return None
    state = State.of(now.tree)._replace(
        record=msgspec.structs.replace(record, status=Status.WITHDRAWN, reason=reason)
    )
    operation = SourceOperation(
        verb=SourceVerb.WITHDRAW,
        time=repo.signature().rfc3339(),
        changed=("withdrawn",),
        reason=reason,
    )
    prepared, root = prepare(repo, state, operation, [now.commit])
    return Withdrawal(source_id, prepared, RefChange(source_ref(source_id), now.commit, prepared.id), root)
