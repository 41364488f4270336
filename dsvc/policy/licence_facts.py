"""What the licences of all that some files come from permit, worked out once for all rules that ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origins
from dsvc.lineage.descent import Descent, descent_of
from dsvc.lineage.graph import ArtifactNode
from dsvc.policy.adaptation import Columns, Content, contents_of
from dsvc.policy.licence_fold import LicenceFolds, Use, permits_use, use_of
from dsvc.policy.licence_settings import declared_licences
from dsvc.policy.licence_terms import licences_in, terms_of
from dsvc.policy.licence_vector import YES, Choices, Vector, choose
from dsvc.policy.settings import PolicySettings
from dsvc.table.roles import TableRules

_SHOWN = 3


class LicenceFacts:
    """What the licences of all that some files come from permit.

    Parameters
    ----------
    origins : Origins
        Runs and sources.
    closure : Closure
        What the files come from.
    settings : PolicySettings
        What they are for, and which licences are declared.
    tables : TableRules
        Which columns hold content.
    columns : callable
        Gives the columns of a table.
    day : str or None
        On which day, ``YYYY-MM-DD``.

    Attributes
    ----------
    folds : LicenceFolds

    Raises
    ------
    LicenceSettingsError
        If a licence is declared in a way that makes no sense.
    """

    def __init__(
        self,
        origins: Origins,
        closure: Closure,
        settings: PolicySettings,
        tables: TableRules,
        columns: Columns,
        day: str | None = None,
    ) -> None:
        self._origins = origins
        self._closure = closure
        self.settings = settings
        self._tables = tables
        self._columns = columns
        self._day = day
        self.declared = declared_licences(settings.licences)
        self.folds = LicenceFolds.of_known(origins.sources, self.declared)
        self._uses: dict[tuple[str, ...], Use] = {}

    @cached_property
    def descents(self) -> dict[ArtifactNode, Descent]:
        """Sources of each file that something comes from."""
        return descent_of(self._closure)

    @cached_property
    def contents(self) -> dict[ArtifactNode, Content]:
        """How the content of sources came into each file; raises as `contents_of`."""
        return contents_of(self._closure, self._origins.runs, self._tables, self._columns, self._is_limited)

    def _is_limited(self, name: str) -> bool:
        """Whether something may not be done with what comes from a source, but for leaving its name out."""
        return not any(vector._replace(unnamed=YES) == Vector() for vector in self.folds.own(name))

    def files(self) -> Iterator[tuple[ArtifactNode, Descent]]:
        """Yield the files that count, with what each descends from."""
        for node in self._closure.roots:
            yield node, self.descents[node]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Sources of all files that count."""
        found = dict.fromkeys(descent for _, descent in self.files())
        return tuple(sorted({name for each in found for name in each.sources}))

    def use(self, names: tuple[str, ...]) -> Use:
        """What data that come from some sources are meant for."""
        if names not in self._uses:
            modes = [self.settings.operating_mode]
            for name in names:
                for record in self.folds.sources.get(name, ()):
                    mode = record.fields.get("operating_mode")
                    modes.append(None if mode is None else str(mode))
            self._uses[names] = use_of(self.settings.purpose, modes, self._day)
        return self._uses[names]

    def chosen(self, names: tuple[str, ...], whole: bool = True) -> Choices:
        """What may be done with what comes from some sources, of the choices that permit its use best.

        Parameters
        ----------
        whole : bool
            Whether that is all that it comes from.

        Raises
        ------
        LicenseExpressionError, TooManyChoicesError, MalformedInputError
            As `LicenceFolds.of`.
        """
        use = self.use(names)
        return choose(self.folds.of(names, whole), lambda vector: permits_use(vector, use))

    def shown(self, names: Iterable[str]) -> str:
        """Name sources with their licences, in a message; of many the first ones."""
        listed = list(names)
        texts = [f"{name} ({self.licence(name)})" for name in listed[:_SHOWN]]
        more = len(listed) - len(texts)
        return ", ".join(texts) + (f" and {more} more" if more else "")

    def has_own_terms(self, name: str) -> bool:
        """Whether a licence of a source has terms that a person has to read, or none that are known."""
        for record in self.folds.sources.get(name, ()):
            for each in licences_in(record.license_expression):
                terms = terms_of(each, self.declared)
                if terms is None or terms.own_terms:
                    return True
        return False

    def licence(self, name: str) -> str:
        """Licence of a source; of several that are judged, all."""
        records = self.folds.sources.get(name, ())
        return "; ".join(dict.fromkeys(record.license_expression for record in records)) or "unknown"
