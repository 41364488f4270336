"""Classification: how sensitive a file is, by what it comes from and what was stated; never lower unsaid."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from dsvc.lineage.closure import Closure, Step
from dsvc.lineage.coverage import Origins
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.known_sources import KnownSource
from dsvc.model.run_record import RunId

_FIELD = "grade"


class Grade(StrEnum):
    """How sensitive data is, in rising order."""

    GENERAL = "general"
    IMPORTANT = "important"
    CORE = "core"


_ORDER = tuple(Grade)


class Lowered(NamedTuple):
    """A run that states a lower grade than what it read has, without saying why."""

    run: RunId
    stated: Grade
    least: Grade


class Grades(NamedTuple):
    """Grades of files, and the runs that lower one without saying why."""

    artifacts: dict[ArtifactNode, Grade]
    lowered: tuple[Lowered, ...]


def join(grades: Iterable[Grade]) -> Grade:
    """Give the highest of some grades; of none the lowest that there is."""
    return max(grades, key=_ORDER.index, default=Grade.GENERAL)


def parse_grade(text: object) -> Grade:
    """Read a grade; what is no grade counts as the highest."""
    try:
        return Grade(str(text))
    except ValueError:
        return Grade.CORE


def grade_of_source(source: KnownSource) -> Grade:
    """Grade that a source states: the highest of what was pinned and what is known now.

    Where two values met in a merge and none is settled yet, it counts as the highest.
    """
    return join(
        Grade.CORE if _FIELD in record.undetermined else parse_grade(record.fields.get(_FIELD, Grade.GENERAL))
        for record in source.records
    )


def grades_of(origins: Origins, closure: Closure) -> Grades:
    """Grade everything of a closure, from the sources on."""
    stated = {name: grade_of_source(source) for name, source in origins.sources.all.items()}
    if all(grade is Grade.GENERAL for grade in stated.values()) and not any(
        origins.runs.run(run).grade for run in closure.runs
    ):
        return Grades(dict.fromkeys(closure.artifacts, Grade.GENERAL), ())
    found: dict[Step, Grade] = {}
    lowered: dict[RunId, Lowered] = {}
    changed = True
    # Once more until nothing changes, for what comes from itself by a detour: a table sorted up and down.
    while changed:
        changed = False
        for step in closure.order:
            least = join(found[each] for each in closure.parents[step] if each in found)
            grade = least
            if isinstance(step, ArtifactNode):
                grade = join([least, *(stated[name] for name in closure.sources_of(step))])
            else:
                run = origins.runs.run(step)
                grade = least if run.grade is None else parse_grade(run.grade)
                if _ORDER.index(grade) < _ORDER.index(least) and not (run.declassified or "").strip():
                    lowered[step] = Lowered(step, grade, least)
                    grade = least
            changed = changed or found.get(step) is not grade
            found[step] = grade
    artifacts = {step: grade for step, grade in found.items() if isinstance(step, ArtifactNode)}
    return Grades(artifacts, tuple(lowered.values()))
