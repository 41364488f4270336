"""Targets of the verbs of lineage, as they come from the command line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from dsvc.cli.arguments.paths import row_target
from dsvc.cli.language.i18n import _

if TYPE_CHECKING:
    from dsvc.porcelain.lineage.lineage_target import LineageTarget

TARGETS = _(
    "TARGET is [REV:]PATH[#ROW], source:ID, run:ID, defect:ID or release:NAME; REV may be STAGED or "
    "WORKTREE. A row is #COLUMN=VALUE, #A=1,B=2 by its key, or #@N by its place, from 0."
)
"""Help on them."""


def lineage_target(argument: str, root: str) -> LineageTarget:
    """Read a target; paths are as everywhere on the command line.

    Raises
    ------
    UsageError, NotFoundError
        As `lineage_target.parse_lineage_target`.
    """
    from dsvc.porcelain.lineage.lineage_target import parse_lineage_target

    return parse_lineage_target(argument, partial(row_target, root=root))
