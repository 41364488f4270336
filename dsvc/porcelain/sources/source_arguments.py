"""What `source add` and `source set` were given, from several places, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dsvc.lineage.evidence import EvidenceOption, parse_option
from dsvc.lineage.source_values import Changes, read_changes
from dsvc.model.errors import UsageError
from dsvc.model.source_record import Coverage

if TYPE_CHECKING:
    from dsvc.lineage.source_document import SourceDocument


class Given(NamedTuple):
    """Checked values, what is covered, and evidence."""

    changes: Changes
    covers: list[Coverage]
    evidence: list[EvidenceOption]


def gather(
    paths: Sequence[bytes],
    fields: Mapping[str, object] | None,
    evidence: Sequence[str | EvidenceOption],
    where: str | None,
    document: SourceDocument | None,
) -> Given:
    """Unite arguments with a document; a field that both have is taken from the arguments.

    Raises
    ------
    SourceFieldError
        If a field is unknown or can't have its value.
    PredicateError
        If `where` is no condition.
    EvidenceError
        If a kind of evidence is unknown.
    """
    written = read_changes(() if document is None else document.values)
    given = read_changes((fields or {}).items())
    # A field that is given as a whole replaces its parts, too.
    outer = {name.partition(".")[0] for name in given if "." not in name}
    written = {name: value for name, value in written.items() if name.partition(".")[0] not in outer}
    covers = [Coverage(path=path, where=_condition(where)) for path in paths]
    if document is not None and not covers:
        covers = [Coverage(path=each.path, where=_condition(each.where or where)) for each in document.covers]
    if where is not None and not covers:
        raise UsageError("--where goes with --path", hint="--path TABLE --where 'CONDITION'")
    options = [parse_option(each) if isinstance(each, str) else each for each in evidence]
    if document is not None:
        options = [*document.evidence, *options]
    return Given({**written, **given}, covers, options)


def _condition(where: str | None) -> str | None:
    """Give a condition its canonical text."""
    if where is None:
        return None
    from dsvc.table.query.predicate import parse

    return str(parse(where))
