"""How the content of sources came into a file: as it was, adapted, or not at all.

A run of a kind that leaves rows as they are (ingest, filter, dedup, mix, split, and dsvc's own verbs)
collects, as long as what is recorded of the rows says so: none changed, none merged, none added. Everything
else adapts. A run that labels or reviews leaves the content out where its output has no column of it:
labels that stand beside bytes that nobody touched are no adaptation. That is known where ``dsvc.toml``
declares the columns; where it doesn't, it isn't known whether the content was adapted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from dsvc.lineage.closure import Closure, Step
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.known_runs import KnownRuns
from dsvc.lineage.run_tree import RunTree
from dsvc.model.manifest import Entry
from dsvc.model.run_record import Artifact, Role, Run, RunId, RunKind
from dsvc.table.roles import TableRules

COLLECTING: Final = frozenset(
    {
        RunKind.INGEST,
        RunKind.FILTER,
        RunKind.DEDUP,
        RunKind.MIX,
        RunKind.SPLIT,
        RunKind.MERGE,
        RunKind.RESOLVE,
        RunKind.REVERT,
        RunKind.APPLY,
        RunKind.NORMALIZE,
    }
)
"""Kinds of runs that leave rows as they are, where nothing recorded speaks against it."""
_BESIDE: Final = frozenset({RunKind.LABEL, RunKind.REVIEW})
_CONTENT: Final = "content"


class Effect(StrEnum):
    """What a run does to the content that it reads."""

    COLLECTS = "collects"
    ADAPTS = "adapts"
    LEAVES_OUT = "leaves-out"
    UNKNOWN = "unknown"


class Content(NamedTuple):
    """Sources whose content is in a file, by id.

    Attributes
    ----------
    collected : tuple of str
        As it was.
    adapted : tuple of str
        Adapted somewhere on the way.
    unknown : tuple of str
        Adapted or not: that isn't known.
    """

    collected: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(sorted({*self.collected, *self.adapted, *self.unknown}))

    @property
    def is_adaptation(self) -> bool:
        """Whether it is one, or may be: something was adapted, or several sources are in one file."""
        return bool(self.adapted or self.unknown) or len(self.collected) > 1


_Bits = tuple[int, int, int]
_NONE: Final[_Bits] = (0, 0, 0)


Columns = Callable[[Entry], frozenset[str] | None]
"""Gives the columns of a table; None where they aren't known."""


def contents_of(
    closure: Closure,
    runs: KnownRuns,
    tables: TableRules,
    columns: Columns,
    limited: Callable[[str], bool] = lambda name: True,
) -> dict[ArtifactNode, Content]:
    """Say of every file of a closure how the content of its sources came into it.

    Parameters
    ----------
    columns : callable
        Gives the columns of a table.
    limited : callable
        Whether the licence of a source limits anything: of content that may be used in any way it isn't
        looked at whether labels hold it, for that may need reading tables.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If the columns of a file can't be read.
    """
    names = sorted(closure.reached)
    # As in `dsvc.lineage.descent`: a set of sources is a number with a bit for each.
    bits = {name: 1 << place for place, name in enumerate(names)}
    matters = sum(bit for name, bit in bits.items() if limited(name))
    effect_of = _Effects(runs, tables, columns).of
    found = _own(closure, bits)
    inputs: dict[RunId, Sequence[Step]] = {}
    settled = set(closure.order)
    # What nothing leads to has only what is its own.
    order = [step for step in closure.order if closure.parents[step] or not isinstance(step, ArtifactNode)]
    order += [step for step in closure.parents if step not in settled]
    collected: dict[RunId, _Bits] = {}
    changed = True
    # Once more until nothing changes, for what comes from itself by a detour: a table sorted up and down.
    while changed:
        changed = False
        for step in order:
            if isinstance(step, ArtifactNode):
                united = found[step]
                for parent in closure.parents[step]:
                    united = _union(united, _reaching(step, parent, found, collected, matters, effect_of))
            else:
                read = closure.parents[step]
                united = collected[step] = _all(read, found)
                if any(each.role is not Role.INPUT for each in runs.run(step).inputs):
                    if step not in inputs:
                        inputs[step] = [each.node for each in runs.reads(step) if each.role is Role.INPUT]
                    # Rows that were kept have nothing of what was looked up meanwhile.
                    collected[step] = _all(inputs[step], found)
            changed = changed or (closure.tangled and united != found[step])
            found[step] = united
    return _named(closure.artifacts, found, bits)


def _reaching(
    node: ArtifactNode,
    parent: Step,
    found: dict[Step, _Bits],
    collected: dict[RunId, _Bits],
    matters: int,
    effect_of: Callable[[RunId, ArtifactNode, bool], Effect],
) -> _Bits:
    """What a file has of a run that made it, or of the file that it is a copy of."""
    if isinstance(parent, ArtifactNode):
        return found.get(parent, _NONE)
    untouched, adapted, unknown = found[parent]
    effect = effect_of(parent, node, bool((untouched | adapted | unknown) & matters))
    if effect is Effect.COLLECTS:
        return collected.get(parent, _NONE)
    if effect is Effect.ADAPTS:
        return 0, untouched | adapted | unknown, 0
    return (0, adapted, untouched | unknown) if effect is Effect.UNKNOWN else _NONE


def _union(one: _Bits, other: _Bits) -> _Bits:
    return one[0] | other[0], one[1] | other[1], one[2] | other[2]


def _own(closure: Closure, bits: dict[str, int]) -> dict[Step, _Bits]:
    """What each file has of the sources that speak for it; equal ones share it."""
    found: dict[Step, _Bits] = dict.fromkeys(closure.parents, _NONE)
    known: dict[tuple[str, ...], _Bits] = {}
    for node in closure.artifacts:
        names = closure.sources_of(node)
        own = known.get(names)
        if own is None:
            own = known[names] = (sum(bits[name] for name in set(names)), 0, 0)
        found[node] = own
    return found


def _all(steps: Iterable[Step], found: dict[Step, _Bits]) -> _Bits:
    united = _NONE
    # Of thousands of files that a run read most have the same.
    for each in {found.get(step, _NONE) for step in steps}:
        united = _union(united, each)
    return united


def _named(
    nodes: Iterable[ArtifactNode], found: dict[Step, _Bits], bits: dict[str, int]
) -> dict[ArtifactNode, Content]:
    known: dict[_Bits, Content] = {}
    result = {}
    for node in nodes:
        number = found[node]
        if number not in known:
            known[number] = Content(
                *(tuple(name for name, bit in bits.items() if part & bit) for part in number)
            )
        result[node] = known[number]
    return result


class _Effects:
    """What runs do to content, each looked at once."""

    def __init__(self, runs: KnownRuns, tables: TableRules, columns: Columns) -> None:
        self._runs = runs
        self._columns = columns
        self._tables = tables
        self._of_run: dict[RunId, Effect | None] = {}
        self._of_output: dict[tuple[RunId, ArtifactNode], Effect] = {}

    def of(self, id_: RunId, node: ArtifactNode, matters: bool) -> Effect:
        if id_ not in self._of_run:
            self._of_run[id_] = _effect(self._runs.run(id_))
        effect = self._of_run[id_]
        if effect is not None or not matters:
            return effect or Effect.COLLECTS
        place = (id_, node)
        if place not in self._of_output:
            self._of_output[place] = self._beside(self._runs.trees[id_], node)
        return self._of_output[place]

    def _beside(self, tree: RunTree, node: ArtifactNode) -> Effect:
        """Look whether an output of a run that labels has columns of the content that it read."""
        number = next((n for n, each in enumerate(tree.run.outputs) if _is(each, node)), None)
        columns = None if number is None else self._columns_at(tree, b"outputs/%d" % number, node.path)
        if columns is None:
            return Effect.UNKNOWN
        rule = self._tables.for_path(node.path)
        content = set(rule.roles.get(_CONTENT, ()))
        declared = {*rule.key, *(name for part in rule.roles.values() for name in part)}
        is_known = bool(tree.run.inputs)
        for place, each in enumerate(tree.run.inputs):
            part = self._tables.for_path(each.path).roles.get(_CONTENT, ())
            content.update(part)
            # A column that isn't there is misspelt: what the content is called isn't known.
            there = self._columns_at(tree, b"inputs/%d" % place, each.path) if part and is_known else None
            is_known = is_known and bool(part) and there is not None and there.issuperset(part)
        if content & columns:
            return Effect.ADAPTS
        # Either all columns play a part that isn't content, or it is known which ones the content has.
        return Effect.LEAVES_OUT if is_known or columns <= declared else Effect.UNKNOWN

    def _columns_at(self, tree: RunTree, place: bytes, path: bytes) -> frozenset[str] | None:
        entry = tree.entry(place)
        if entry is None or entry.is_tree:
            return None
        return self._columns(msgspec.structs.replace(entry, path=path))


def _effect(run: Run) -> Effect | None:
    """What a run does to content; None where that depends on the output."""
    rows = run.rows
    touched = rows["changed"] + rows["merged"] + rows["split"] + (rows["added"] if run.inputs else 0)
    if run.kind in _BESIDE:
        only_passed_on = run.complete and rows["kept"] and not touched
        return Effect.COLLECTS if only_passed_on else None
    if run.kind is RunKind.INGEST and run.complete:
        # Another format is no adaptation: rows of a table that was an archive before have no parents.
        touched = rows["changed"] + rows["merged"]
    return Effect.COLLECTS if run.kind in COLLECTING and run.complete and not touched else Effect.ADAPTS


def _is(output: Artifact, node: ArtifactNode) -> bool:
    return not output.folder and output.path == node.path and output.digest == node.digest
