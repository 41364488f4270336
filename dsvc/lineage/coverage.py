"""What covers a file: the runs that made it, the sources that speak for it, or an equal file that is covered.

Of the sources over a path those of the longest path count. At one content a run that made it wins over a
source. A file that nothing covers at its path inherits from files of equal content elsewhere; an empty one
doesn't, for that says nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.known_runs import KnownRuns
from dsvc.lineage.known_sources import Attested, KnownSource, KnownSources
from dsvc.lineage.lineage_rules import LineageRules, is_never_data
from dsvc.model.manifest import MODE_DIRECTORY, MODE_SYMLINK, Entry
from dsvc.model.paths import display_path
from dsvc.model.run_record import RunId


class Lack(StrEnum):
    """Why a file is not covered."""

    NO_SOURCE = "no-source"
    OTHER_CONTENT = "other-content"
    EDITED_OUTPUT = "edited-output"
    NO_INPUT = "no-input"
    ROWS = "rows"
    WITHDRAWN = "withdrawn"


class Uncovered(NamedTuple):
    """A file that nothing covers, and why.

    Attributes
    ----------
    path, digest : bytes
        Which.
    lack : Lack
        Why.
    source : str or None
        The source that covers the path, but not this content, not all rows, or is not in force.
    run : RunId or None
        The run that made the path, with another content or without any input.
    rows : tuple of int or None
        How many rows are not covered, and how many there are.
    user : str or None
        Name of a run that read it, where the file is no path of the version that was asked for.
    """

    path: bytes
    digest: bytes
    lack: Lack
    source: str | None = None
    run: RunId | None = None
    rows: tuple[int, int] | None = None
    user: str | None = None

    @property
    def message(self) -> str:
        """What is wrong, one sentence."""
        name = display_path(self.path)
        if self.lack is Lack.OTHER_CONTENT:
            text = f"{name} is not as it was when source {self.source} attested it"
        elif self.lack is Lack.EDITED_OUTPUT:
            assert self.run is not None
            text = f"{name} was edited after run {self.run.hex()[:12]} made it"
        elif self.lack is Lack.NO_INPUT:
            assert self.run is not None
            text = (
                f"run {self.run.hex()[:12]} made {name} from nothing, and no source says where it came from"
            )
        elif self.lack is Lack.ROWS:
            assert self.rows is not None
            text = f"no source covers {self.rows[0]} of {self.rows[1]} rows of {name}"
        elif self.lack is Lack.WITHDRAWN:
            text = f"{name} comes from source {self.source}, which is not in force"
        else:
            text = f"{name} has no source"
        return text if self.user is None else f"{text}; run {self.user} read it"

    @property
    def hint(self) -> str:
        """What to do about it."""
        if self.lack is Lack.OTHER_CONTENT:
            return f"dsvc source update {self.source} attests it as it is now"
        if self.lack is Lack.EDITED_OUTPUT:
            return "dsvc run --manual TEXT -i … -o … records what was done to it"
        if self.lack is Lack.ROWS:
            return "dsvc source add … --where says where the other rows came from"
        if self.lack is Lack.WITHDRAWN:
            return f"dsvc source show {self.source} says why"
        return "dsvc source add says where it came from, dsvc run which step made it"


class Origin(NamedTuple):
    """Where a file comes from.

    Attributes
    ----------
    runs : tuple of RunId
        Runs that made it at its path.
    sources : tuple of str
        Sources that speak for it at its path.
    copies : tuple of ArtifactNode
        Covered files of equal content elsewhere, where nothing covers it at its path.
    lack : Uncovered or None
        Why it is not covered.
    """

    runs: tuple[RunId, ...] = ()
    sources: tuple[str, ...] = ()
    copies: tuple[ArtifactNode, ...] = ()
    lack: Uncovered | None = None


class Origins:
    """Answers where files come from, by what is known of runs and sources.

    Parameters
    ----------
    runs : KnownRuns
    sources : KnownSources
    rules : LineageRules
        Which paths are no data.
    """

    def __init__(self, runs: KnownRuns, sources: KnownSources, rules: LineageRules) -> None:
        self.runs = runs
        self.sources = sources
        self.rules = rules
        self._of_source: dict[str, Origin] = {}

    def of(self, node: ArtifactNode, records: int | None, size: int) -> Origin:
        """Say where a file comes from.

        Parameters
        ----------
        records : int or None
            Rows of a table.
        size : int
            Bytes.
        """
        origin = self.at_path(node, records)
        if origin is not None:
            return origin
        made = self.runs.makers(node)
        copies = self._copies(node) if size else ()
        lack = None if copies else self._lack(node, self.sources.covering(node.path), made)
        return Origin(made, (), copies, lack)

    def at_path(self, node: ArtifactNode, records: int | None) -> Origin | None:
        """Say where a file comes from by what is known of its path; None where nothing covers it there."""
        made = self.runs.makers(node)
        covering = self.sources.covering(node.path)
        if not made and len(covering) == 1:
            found = covering[0].attests(node)
            # Most files by far, so that they share one answer.
            if found is not None and found.rows is None:
                return self._attested(found.source)
        attested = [(each, spoken) for each in covering if (spoken := each.attests(node)) is not None]
        sources = tuple(each.id for each, _ in attested)
        if made and (sources or any(self.runs.reads(run) for run in made)):
            return Origin(made, sources)
        if attested:
            return Origin((), sources, (), self._rows(node, records, [found for _, found in attested]))
        return None

    def _attested(self, source: str) -> Origin:
        if source not in self._of_source:
            self._of_source[source] = Origin((), (source,))
        return self._of_source[source]

    def _rows(
        self, node: ArtifactNode, records: int | None, attested: Sequence[Attested]
    ) -> Uncovered | None:
        """Look whether every row is spoken for, where sources say which rows they mean."""
        parts = [each.rows for each in attested if each.rows is not None]
        if len(parts) < len(attested) or not records:
            return None
        import numpy as np

        from dsvc.lineage.row_set import decode_rows

        spoken = np.unique(np.concatenate([decode_rows(part) for part in parts]))
        missing = records - int((spoken < records).sum())
        if not missing:
            return None
        return Uncovered(node.path, node.digest, Lack.ROWS, attested[0].source, rows=(missing, records))

    def _copies(self, node: ArtifactNode) -> tuple[ArtifactNode, ...]:
        made = (each for each in self.runs.copies(node.digest) if each != node)
        spoken = (each for each in self.sources.copies(node.digest) if each.path != node.path)
        return tuple(dict.fromkeys([*made, *spoken]))

    def _lack(
        self, node: ArtifactNode, covering: Sequence[KnownSource], made: tuple[RunId, ...]
    ) -> Uncovered:
        if made:
            return Uncovered(node.path, node.digest, Lack.NO_INPUT, run=made[0])
        run = self.runs.maker_of_path(node.path)
        if run is not None:
            return Uncovered(node.path, node.digest, Lack.EDITED_OUTPUT, run=run)
        if covering:
            known = [each for each in covering if each.knows_path(node.path)] or covering
            return Uncovered(node.path, node.digest, Lack.OTHER_CONTENT, known[0].id)
        return Uncovered(node.path, node.digest, Lack.NO_SOURCE)

    def is_data(self, path: bytes) -> bool:
        """Whether a path must be covered: by its name, or since a run read it or a source covers it."""
        if is_never_data(path) or path in self.sources.evidence_paths:
            return False
        if not self.rules.is_project(path):
            return True
        return self.runs.reads_path(path) or bool(self.sources.covering(path))


def holds_bytes(entry: Entry) -> bool:
    """Whether an entry has content of its own; links and empty folders only point or stand there."""
    return entry.mode not in (MODE_DIRECTORY, MODE_SYMLINK)
