"""What a verb that wrote the working tree tells of it."""

from __future__ import annotations

from collections.abc import Sequence

from dsvc.history.operations import Operation
from dsvc.history.ref_name import HEADS
from dsvc.history.refs import Head
from dsvc.porcelain.state.values import CheckoutResult, Skipped
from dsvc.porcelain.tree.tree_update import Updated


def tree_outcome(
    head: Head, operation: Operation | None, done: Updated, *, saved: int = 0, skipped: Sequence[Skipped] = ()
) -> CheckoutResult:
    """Make the result of a verb.

    Parameters
    ----------
    head : Head
        Where HEAD stands now.
    operation : Operation or None
        As recorded: what `undo` takes back.
    done : Updated
        What was written and removed.
    saved : int
        Files that were stored before they went.
    """
    return CheckoutResult(
        head=head.commit,
        branch=None if head.branch is None else head.branch.removeprefix(HEADS),
        written=done.written,
        removed=done.removed,
        unchanged=done.unchanged,
        bytes=done.bytes,
        undo=None if operation is None or operation.id is None else str(operation.id),
        saved=saved,
        skipped=list(skipped),
    )
