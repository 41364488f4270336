"""A row-wise run done again on the rows that changed only; what it made of the others is taken over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from dsvc.lineage.link_file import LinkFile, encode_links
from dsvc.lineage.links import Links
from dsvc.lineage.row_account import RowAccount, decode_account, encode_account
from dsvc.lineage.run_tree import PATCH, store_run
from dsvc.model.errors import CorruptDataError
from dsvc.model.run_record import Capture, Fates, Input, Output, Role, Run, RunKind
from dsvc.porcelain.recompute.recompute_command import Command, Done, drafted
from dsvc.porcelain.recompute.recompute_correspondence import NewArtifact
from dsvc.porcelain.recompute.recompute_inputs import ChangedInput, changed_inputs
from dsvc.porcelain.recompute.recompute_outputs import Outputs, SplicedOutput, duplicate_keys
from dsvc.porcelain.recompute.recompute_part import Part, run_part
from dsvc.porcelain.recompute.recompute_splice import NotSplicedError, splice_account
from dsvc.porcelain.recompute.recompute_whole import inputs_now
from dsvc.porcelain.runs.rerun import Carrier
from dsvc.porcelain.runs.run_facts import RECOMPUTED, SPLICED_FROM
from dsvc.porcelain.runs.run_recording import now
from dsvc.porcelain.runs.run_storage import RunResult
from dsvc.porcelain.state.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Collection

    from dsvc.lineage.run_tree import RunTree

_NOTHING = np.zeros(0, np.int64)
_NO_ROWS = RowAccount(Fates(), _NOTHING, _NOTHING, (), _NOTHING, _NOTHING)


class RowsDone(NamedTuple):
    """A run that was done again on some rows: stored, its outputs, how many rows were computed."""

    result: RunResult
    outputs: tuple[NewArtifact, ...]
    rows: int


def why_whole(record: Run, changed: Collection[int]) -> str | None:
    """Say why a run can't be done again on some rows only, as far as its record tells; None: it can.

    Parameters
    ----------
    changed : collection of int
        Inputs that are other ones now, by their place.
    """
    if not record.rowwise:
        return "it is not row-wise"
    if not record.complete:
        return "its record does not account for every row"
    if record.kind is RunKind.DEDUP:
        return "it looks for duplicates"
    for number in changed:
        if record.inputs[number].role is Role.LOOKUP:
            return "what it looks things up in changed"
    if any(each.role is Role.INPUT and each.fates is None for each in record.inputs):
        return "an input of it has no rows"
    for each in record.outputs:
        if each.records is None or each.capture is Capture.NONE:
            return "not all that it makes has rows"
        if each.added:
            return "it makes rows that come from no row of its inputs"
    return None


def run_rows(
    repo: Workspace,
    tree: RunTree,
    new_inputs: Mapping[int, NewArtifact],
    command: Command,
    how: Carrier,
) -> RowsDone:
    """Do a row-wise run again on affected rows only, put the result together, and store the run.

    Raises
    ------
    NotSplicedError
        If that can't be; nothing was stored that gc doesn't take.
    CommandFailedError, CommandTimeoutError
        If the command can't be started or takes too long.
    MissingDataError, CorruptDataError, MalformedInputError
        If what is recorded can't be read.
    """
    record = tree.run
    changed = [n for n, new in new_inputs.items() if not new.is_as_before(record.inputs[n].digest)]
    chosen = [n for n in changed if new_inputs[n].is_same_as(record.inputs[n].digest)]
    why = why_whole(record, changed)
    if why is None and command.changed and not chosen:
        why = "parameters or code changed"
    if why is not None:
        raise NotSplicedError(why)
    inputs = changed_inputs(repo, tree, new_inputs)
    maps = {number: _maps(tree, number) for number in range(len(record.outputs))}
    computed = sum(len(each.part.rows) for each in inputs.values())
    outputs = Outputs(repo, tree, inputs, maps)
    part = None
    if computed:
        parts = {number: each.part for number, each in inputs.items()}
        part = run_part(repo, tree, command, parts, outputs.kinds(), how)
    spliced = outputs.with_part(part)
    accounts = {number: _account(tree, number, each, maps, part) for number, each in inputs.items()}
    result = _store(repo, tree, command, _Rows(new_inputs, inputs, spliced, accounts, part, computed))
    return RowsDone(result, tuple(each.artifact for each in spliced), computed)


def _maps(tree: RunTree, output: int) -> dict[int, Links]:
    found = {}
    for number in range(len(tree.run.inputs)):
        data = tree.part(b"maps/%d-%d" % (output, number))
        if data is not None:
            found[number] = LinkFile(data).all()
    return found


def _account(
    tree: RunTree,
    number: int,
    each: ChangedInput,
    maps: Mapping[int, Mapping[int, Links]],
    part: Part | None,
) -> RowAccount:
    data = tree.part(b"rows/%d" % number)
    if data is None:
        raise CorruptDataError(f"run {tree.id.short()} lacks rows/{number}", details={"run": tree.id.hex()})
    account = decode_account(data)
    if each.change is None:
        return account
    small = _NO_ROWS
    if part is not None and number not in part.stand_ins:
        small = part.captured.accounts.get(number, _NO_ROWS)
    if small.fates.total != len(each.change.fresh):
        raise NotSplicedError("the affected rows can't be accounted for")
    children = [links for found in maps.values() if (links := found.get(number)) is not None]
    return splice_account(account, children, each.change, small)


# The new run


class _Rows(NamedTuple):
    """All that the new run is made of."""

    new_inputs: Mapping[int, NewArtifact]
    inputs: Mapping[int, ChangedInput]
    outputs: Sequence[SplicedOutput]
    accounts: Mapping[int, RowAccount]
    part: Part | None
    computed: int


def _store(repo: Workspace, tree: RunTree, command: Command, rows: _Rows) -> RunResult:
    record = tree.run
    moment = now()
    done = Done(moment, moment, record.environment) if rows.part is None else rows.part.done
    notes = {RECOMPUTED: str(rows.computed), SPLICED_FROM: tree.id.hex()}
    draft = drafted(repo, tree, command, done, notes)
    fields: dict[str, Any] = {name: getattr(draft, name) for name in draft.__struct_fields__}
    inputs = tuple(_input(repo, tree, number, rows) for number in range(len(record.inputs)))
    outputs = tuple(_output(repo, tree, number, each) for number, each in enumerate(rows.outputs))
    drops: dict[str, int] = {}
    for account in rows.accounts.values():
        for reason, count in account.drops().items():
            drops[reason] = drops.get(reason, 0) + count
    order = list(Capture)
    repeated = sum(
        duplicate_keys(repo, each.artifact.files, old.key)
        for each, old in zip(rows.outputs, record.outputs, strict=True)
    )
    run = Run(
        **fields,
        inputs=inputs,
        outputs=outputs,
        drops=drops,
        duplicate_keys=sum(each.duplicate_keys for each in inputs) + repeated,
        capture=max((each.capture for each in outputs), key=order.index, default=Capture.NONE),
    )
    parts = {
        b"maps/%d-%d" % (number, input_): encode_links(links)
        for number, each in enumerate(rows.outputs)
        for input_, links in each.links.items()
    }
    parts |= {b"rows/%d" % number: encode_account(account) for number, account in rows.accounts.items()}
    id_ = store_run(
        repo.store,
        run,
        inputs=[each.files() for each in inputs_now(tree, rows.new_inputs)],
        outputs=[each.artifact.files.files() for each in rows.outputs],
        code=command.files,
        parts=parts if command.patch is None else {**parts, PATCH: command.patch},
    )
    repo.store.publish()
    return RunResult(id_, run)


def _input(repo: Workspace, tree: RunTree, number: int, rows: _Rows) -> Input:
    old, each = tree.run.inputs[number], rows.inputs.get(number)
    if each is None or each.change is None:
        return old
    files = rows.new_inputs[number].files
    found = files.artifact(each.part.count)
    return msgspec.structs.replace(
        old,
        digest=found.digest,
        size=found.size,
        records=found.records,
        fates=rows.accounts[number].fates,
        duplicate_keys=duplicate_keys(repo, files, old.key),
    )


def _output(repo: Workspace, tree: RunTree, number: int, each: SplicedOutput) -> Output:
    old = tree.run.outputs[number]
    found = each.artifact.files.artifact(each.rows)
    return msgspec.structs.replace(
        old, digest=found.digest, size=found.size, records=found.records, capture=each.capture
    )


__all__ = ["RowsDone", "run_rows", "why_whole"]
