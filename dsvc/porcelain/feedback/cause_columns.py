"""Columns of an artifact and of the tables that its rows came from, as candidates, pooled by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.row_flow import RowFlow
from dsvc.lineage.row_ways import Way
from dsvc.model.defect import CauseKind
from dsvc.model.errors import DsvcError
from dsvc.model.manifest import Entry
from dsvc.porcelain.feedback.cause_pools import Pools
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.few_values import FewValues, few_values
from dsvc.porcelain.tables.row_positions import entry_of
from dsvc.porcelain.tables.table_rules import table_rules
from dsvc.table.roles import TableRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]

ROLE_KINDS: Final = {
    "source": CauseKind.SOURCE,
    "file": CauseKind.ARTIFACT,
    "batch": CauseKind.BATCH,
    "annotator": CauseKind.ANNOTATOR,
    "reviewer": CauseKind.REVIEWER,
    "rules": CauseKind.RULES,
}
"""Parts that columns play, and the kind of candidate that their values are."""
_NEVER: Final = ("content", "subject")
"""Parts that are no cause: what a row says, and whom it is about."""


class UnreadTable(NamedTuple):
    """A table on the way whose columns could not be read."""

    path: bytes
    reason: str


class ColumnsOnTheWay:
    """Reads columns, and gives their values to pools.

    Values are named ``COLUMN=VALUE``. Those of tables that rows came from count where the artifact itself
    lacks the column; where it has it with another value in some row, they are ``PATH#COLUMN=VALUE``.

    Parameters
    ----------
    repo : Workspace
    flow : RowFlow
    pools : Pools

    Attributes
    ----------
    left_out : list of str
        Columns of which only the most frequent values count.
    unread : list of UnreadTable
    """

    def __init__(self, repo: Workspace, flow: RowFlow, pools: Pools) -> None:
        self._repo = repo
        self._flow = flow
        self._pools = pools
        self._rules = table_rules(repo)
        self._own: dict[str, FewValues | None] = {}
        self.left_out: list[str] = []
        self.unread: list[UnreadTable] = []

    def add_own(self, entry: Entry, rows: Numbers | None) -> None:
        """Take the columns of the artifact itself.

        Raises
        ------
        NotATableError, TableLimitError, MissingDataError, CorruptDataError
            If it can't be read.
        """
        names, found = self._read(entry)
        kinds = _kinds(self._rules.for_path(entry.path))
        self._own = dict.fromkeys(names)
        for name, values in found.items():
            mine = values if rows is None else values._replace(codes=values.codes[rows])
            self._own[name] = mine
            self._give(name, kinds.get(name), None, mine.codes, mine)

    def add(self, node: ArtifactNode, way: Way) -> None:
        """Take the columns of a table that rows came from; one that can't be read is noted."""
        if not way.links.size:
            return
        entry = entry_of(self._flow, node)
        if entry is None or not entry.rows:
            return
        try:
            _, found = self._read(entry)
        except DsvcError as error:
            self.unread.append(UnreadTable(node.path, str(error)))
            return
        kinds = _kinds(self._rules.for_path(node.path))
        outputs, inputs = way.links
        for name, values in found.items():
            codes = values.codes[inputs]
            kind = kinds.get(name)
            if kind is not None or name not in self._own:
                self._give(name, kind, outputs, codes, values)
            elif self._differs(name, outputs, codes, values):
                path = node.path.decode("utf-8", "backslashreplace")
                self._give(f"{path}#{name}", None, outputs, codes, values)

    def _give(
        self,
        name: str,
        kind: CauseKind | None,
        rows: Numbers | None,
        codes: NDArray[np.int16],
        values: FewValues,
    ) -> None:
        if values.left_out:
            self.left_out.append(name)
        if kind is None:
            self._pools.add_values(CauseKind.COLUMN, name, rows, codes, values.texts)
            return
        # A row without an annotator has none in common with others of the kind.
        texts = values.texts
        if "null" in texts:
            codes = np.where(codes == texts.index("null"), np.int16(-1), codes)
        self._pools.add_values(kind, "", rows, codes, texts)

    def _differs(self, name: str, rows: Numbers, codes: NDArray[np.int16], values: FewValues) -> bool:
        """Whether a row of the artifact has another value in its own column of this name."""
        own = self._own[name]
        if own is None:
            return True
        numbers = {text: number for number, text in enumerate(own.texts)}
        same = np.array([*(numbers.get(text, -2) for text in values.texts), -1], np.int16)
        return bool((same[codes] != own.codes[rows]).any())

    def _read(self, entry: Entry) -> tuple[list[str], dict[str, FewValues]]:
        """Names of all columns, and the values of those that can be candidates."""
        from dsvc.porcelain.tables.row_indexes import RowIndexes
        from dsvc.porcelain.tables.table_diff import known_table

        table = known_table(self._repo, entry)
        if table is None:
            return [], {}
        index = RowIndexes(self._repo).get(table)
        rule = self._rules.for_path(entry.path)
        kinds = _kinds(rule)
        never = {name for role in _NEVER for name in rule.roles.get(role, ())} | set(rule.key)
        names = [name for name in index.names if name in kinds or name not in never]
        return index.names, few_values(table, index, names, kinds)


def _kinds(rule: TableRule) -> dict[str, CauseKind]:
    return {name: kind for role, kind in ROLE_KINDS.items() for name in rule.roles.get(role, ())}
