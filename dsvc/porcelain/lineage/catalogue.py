"""Finding data: files of a version by the sources, licences, grades and stages that they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from dsvc.lineage.closure import Closure
from dsvc.lineage.descent import descent_of
from dsvc.lineage.grades import Grade
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.license_text import check_license, licenses_of
from dsvc.lineage.rights import Rights, rights_of
from dsvc.lineage.source_fields import FIELDS
from dsvc.lineage.source_values import read_value
from dsvc.lineage.stages import Stage, stages_of
from dsvc.model.errors import UsageError
from dsvc.model.manifest import Entry
from dsvc.porcelain.records.lineage_facts import origins_at
from dsvc.porcelain.records.source_chain import SOURCES
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tree.read import ls

if TYPE_CHECKING:
    from dsvc.lineage.known_sources import KnownSources

_SUPPLY = "supply_type"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What files must have; None where anything will do.

    Attributes
    ----------
    source : str or None
        Id of a source that they descend from.
    licence : str or None
        Licence of a source that they descend from: that expression, or one licence that it names.
    grade : Grade or None
    stage : Stage or None
    supply_type : str or None
        Supply type of a source that they descend from.
    """

    source: str | None = None
    licence: str | None = None
    grade: Grade | None = None
    stage: Stage | None = None
    supply_type: str | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A file with what lineage knows of it.

    Attributes
    ----------
    entry : Entry
    sources, licences : tuple of str
        Of everything that it descends from.
    grade : Grade
    stage : Stage
    rights : Rights
    """

    entry: Entry
    sources: tuple[str, ...]
    licences: tuple[str, ...]
    grade: Grade
    stage: Stage
    rights: Rights


def wanted(
    *,
    source: str | None = None,
    licence: str | None = None,
    grade: str | None = None,
    stage: str | None = None,
    supply_type: str | None = None,
) -> Wanted:
    """Check what is asked for.

    Raises
    ------
    SourceFieldError, LicenseExpressionError, UsageError
        If there is no such grade, supply type, licence or stage, with those that there are.
    """
    return Wanted(
        source=source,
        licence=None if licence is None else check_license(licence),
        grade=None if grade is None else Grade(str(read_value(FIELDS["grade"], grade, "grade"))),
        stage=None if stage is None else _stage(stage),
        supply_type=None if supply_type is None else str(read_value(FIELDS[_SUPPLY], supply_type, _SUPPLY)),
    )


def _stage(text: str) -> Stage:
    try:
        return Stage(text.strip().lower())
    except ValueError as error:
        from difflib import get_close_matches

        words = [stage.value for stage in Stage]
        close = get_close_matches(text.lower(), words, 1)
        raise UsageError(
            f"there is no stage {text[:80]!r}",
            hint=f"did you mean {close[0]}?" if close else f"stages: {', '.join(words)}",
        ) from error


def catalogue(repo: Workspace, rev: str | None, path: bytes, asked: Wanted) -> list[Found]:
    """List the files below a path of a version that descend from what is asked for.

    Files are judged as a whole: of a table it is enough that one row may come from the source. What has no
    lineage is never listed.

    Parameters
    ----------
    rev : str or None
        A revision, ``STAGED`` or ``WORKTREE``; None is HEAD.

    Raises
    ------
    NotFoundError
        If there is no such revision or path.
    NoSuchSourceError
        If sources are known, and none has that id.
    MissingDataError, CorruptDataError, MalformedInputError
        If the version's lineage can't be read.
    """
    files = [item.entry for item in ls(repo, rev, path, recursive=True) if item.entry is not None]
    _, known = origins_at(repo, rev)
    if asked.source is not None and known.sources.all and asked.source not in known.sources.all:
        raise SOURCES.missing(repo, asked.source)
    closure = Closure(known, files)
    for error in (*known.sources.unreadable.values(), *known.runs.unreadable.values()):
        raise error
    stands = stages_of(known, closure)
    descents = descent_of(closure)
    rights = rights_of(known.sources.all, descents)
    facts = _SourceFacts(known.sources, asked)
    found = []
    for entry in files:
        node = ArtifactNode(entry.path, entry.digest)
        origin, stand = closure.artifacts.get(node), stands.get(node)
        if origin is None or stand is None or not (origin.runs or origin.sources or origin.copies):
            continue
        if asked.grade not in (None, stand.grade) or asked.stage not in (None, stand.stage):
            continue
        sources = descents[node].sources
        if facts.match(sources):
            found.append(
                Found(
                    entry=entry,
                    sources=sources,
                    licences=facts.licences(sources),
                    grade=stand.grade,
                    stage=stand.stage,
                    rights=rights[node],
                )
            )
    return found


class _SourceFacts:
    """Licences and supply types of sources, and which sets of sources are asked for, each worked out once."""

    def __init__(self, sources: KnownSources, asked: Wanted) -> None:
        self._asked = asked
        self._licences: dict[str, tuple[str, ...]] = {}
        self._supply: dict[str, frozenset[str]] = {}
        # A source counts by all that it was pinned as and is now, so that nothing is overlooked.
        for name, source in sources.all.items():
            self._licences[name] = tuple(record.license_expression for record in source.records)
            self._supply[name] = frozenset(str(record.fields.get(_SUPPLY)) for record in source.records)
        self._matching: dict[tuple[str, ...], bool] = {}
        self._united: dict[tuple[str, ...], tuple[str, ...]] = {}

    def match(self, sources: tuple[str, ...]) -> bool:
        """Whether what descends from these sources is asked for."""
        if sources not in self._matching:
            asked = self._asked
            self._matching[sources] = (
                (asked.source is None or asked.source in sources)
                and (asked.licence is None or any(self._has(name, asked.licence) for name in sources))
                and (asked.supply_type is None or any(asked.supply_type in self._supply[n] for n in sources))
            )
        return self._matching[sources]

    def _has(self, name: str, licence: str) -> bool:
        return any(
            licence == expression or licence in licenses_of(expression) for expression in self._licences[name]
        )

    def licences(self, sources: tuple[str, ...]) -> tuple[str, ...]:
        """Licences of these sources, in order."""
        if sources not in self._united:
            self._united[sources] = tuple(sorted({each for name in sources for each in self._licences[name]}))
        return self._united[sources]
