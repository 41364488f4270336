"""The fold over all ancestors: what may be done with data that come from some sources.

A source permits what its licence does, tightened by what its record says: not for gain, for these purposes,
by these consumers, in these places, until that day, rights that are disputed. The record never loosens a
licence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from dsvc.lineage.known_sources import KnownSource, KnownSources
from dsvc.lineage.rights import Rights
from dsvc.model.errors import MalformedInputError
from dsvc.model.source_record import LegalBasis, SourceRecord, Value
from dsvc.policy.licence_settings import normal_word, words_of
from dsvc.policy.licence_terms import NOTHING_DECLARED, Declared, choices_of
from dsvc.policy.licence_vector import (
    FREE,
    NO,
    UNDETERMINED,
    UNKNOWN,
    YES,
    Choices,
    Permission,
    Vector,
    both,
)

_FIELDS: Final = frozenset(
    {
        "license_expression",
        "legal_basis",
        "rights_status",
        "commercial",
        "purposes_allowed",
        "purposes_forbidden",
        "territory",
        "consumers_allowed",
        "expiry",
        "operating_mode",
    }
)
"""What decides; where two values of one met in a merge and none is settled, nothing is known."""
NON_COMMERCIAL: Final = frozenset({"research", "education", "non_commercial"})
COMMERCIAL: Final = frozenset({"commercial", "ecommerce", "电商", "any"})
_FOR_GAIN: Final = frozenset({"ecommerce", "pairing"})
ANY: Final = "any"


def choices_of_record(record: SourceRecord, declared: Declared = NOTHING_DECLARED) -> Choices:
    """What one record of a source permits.

    Raises
    ------
    LicenseExpressionError
        If its licence can't be parsed.
    MalformedInputError
        If a field that says what is allowed is no list.
    """
    if _FIELDS.intersection(record.undetermined):
        return UNKNOWN
    limit = _limit(record)
    return both(choices_of(record.license_expression, declared), frozenset([limit]))


def _limit(record: SourceRecord) -> Vector:
    fields = record.fields
    expiry = fields.get("expiry")
    limit = Vector(
        commercial=_stated(fields.get("commercial")),
        purposes=_words(fields, "purposes_allowed"),
        forbidden=_words(fields, "purposes_forbidden") or frozenset(),
        territory=_words(fields, "territory"),
        consumers=_words(fields, "consumers_allowed"),
        expiry=None if expiry is None else str(expiry)[:10],
    )
    unsettled = fields.get("rights_status", Rights.CLEAR.value) != Rights.CLEAR.value
    if unsettled or record.legal_basis is LegalBasis.UNDETERMINED:
        return limit.at_most(UNDETERMINED)
    return limit


def _stated(word: object) -> Permission:
    """Nothing said tightens nothing; ``unknown`` does."""
    return YES if word is None else Permission.of(str(word))


def _words(fields: Mapping[str, Value], name: str) -> frozenset[str] | None:
    if name not in fields:
        return None
    value = fields[name]
    if not isinstance(value, list | tuple):
        raise MalformedInputError(f"{name} of a source is no list", details={"field": name})
    return words_of(value)


class LicenceFolds:
    """Folds the licences of sets of sources; of equal ones, and parts that come again, only once.

    Parameters
    ----------
    sources : mapping of str to sequence of SourceRecord
        The records of each source that are judged; several: all of them hold.
    declared : mapping of str to LicenceTerms
        Licences of one's own.
    """

    def __init__(
        self, sources: Mapping[str, Sequence[SourceRecord]], declared: Declared = NOTHING_DECLARED
    ) -> None:
        self.sources = sources
        self.declared = declared
        self._values: list[Choices] = [FREE]
        self._numbers: dict[Choices, int] = {FREE: 0}
        self._meets: dict[tuple[int, int], int] = {}
        self._classes: dict[str, tuple[int, str | None]] = {}

    @classmethod
    def of_known(cls, sources: KnownSources, declared: Declared = NOTHING_DECLARED) -> LicenceFolds:
        """Fold sources as a gate judges them: as they were pinned, else as they are now."""
        return cls({name: stated_records(source) for name, source in sources.all.items()}, declared)

    def of(self, names: Iterable[str], whole: bool = True) -> Choices:
        """What may be done with what comes from some sources.

        Parameters
        ----------
        names : iterable of str
            Ids of the sources; of one that isn't known, nothing is.
        whole : bool
            Whether that is all that it comes from; else nothing is known.

        Raises
        ------
        LicenseExpressionError
            If a licence can't be parsed.
        TooManyChoicesError
            If they leave too many choices.
        """
        numbers = set()
        days = set()
        for name in names:
            found = self._classes.get(name)
            number, day = found if found is not None else self._class(name)
            numbers.add(number)
            days.add(day)
        if not whole:
            numbers.add(self._number(UNKNOWN))
        # The last day is the same in all choices of a source: leaving it to the end, few vectors differ.
        days.discard(None)
        result = 0
        for number in sorted(numbers):
            result = self._meet(result, number)
        choices = self._values[result]
        if not days:
            return choices
        limit: Choices = frozenset([Vector(expiry=min(day for day in days if day is not None))])
        return self._values[self._meet(result, self._number(limit))]

    def own(self, name: str) -> Choices:
        """What one source permits by itself; raises as `of`."""
        return self.of([name])

    def _class(self, name: str) -> tuple[int, str | None]:
        records = self.sources.get(name, ())
        choices = FREE if records else UNKNOWN
        for record in records:
            choices = both(choices, choices_of_record(record, self.declared))
        day = next(iter(choices)).expiry
        plain = frozenset(each._replace(expiry=None) for each in choices)
        self._classes[name] = self._number(plain), day
        return self._classes[name]

    def _number(self, choices: Choices) -> int:
        number = self._numbers.setdefault(choices, len(self._values))
        if number == len(self._values):
            self._values.append(choices)
        return number

    def _meet(self, one: int, other: int) -> int:
        found = self._meets.get((one, other))
        if found is None:
            found = self._number(both(self._values[one], self._values[other]))
            self._meets[one, other] = found
        return found


def stated_records(source: KnownSource) -> tuple[SourceRecord, ...]:
    """Records of a source that a gate judges."""
    return tuple(tree.record for tree in source.stated)


class Use(NamedTuple):
    """What data are meant for.

    Attributes
    ----------
    purpose : str or None
        In normal form; ``any``: whatever; None: not said.
    commercial : bool or None
        Whether for gain; None: not known.
    day : str or None
        When, ``YYYY-MM-DD``; None: as long as there is a right.
    """

    purpose: str | None = None
    commercial: bool | None = None
    day: str | None = None


def use_of(purpose: str | None, modes: Iterable[str | None] = (), day: str | None = None) -> Use:
    """Say what data are meant for, by a purpose and by modes of operation of the whole and of sources."""
    word = None if purpose is None else normal_word(purpose) or None
    if word in COMMERCIAL or _FOR_GAIN.intersection(mode for mode in modes if mode):
        return Use(word, True, day)
    return Use(word, False if word in NON_COMMERCIAL else None, day)


def permits_use(vector: Vector, use: Use) -> Permission:
    """Say whether a vector permits a use.

    What isn't said of the use is undetermined where it matters: where anything may be done, it doesn't.
    """
    found = vector.use
    if use.commercial is not False:
        by_gain = vector.commercial
        found = min(found, by_gain if use.commercial else max(by_gain, UNDETERMINED))
    if vector.purposes is not None or vector.forbidden:
        found = min(found, _permits_purpose(vector, use.purpose))
    if vector.expiry is not None and use.day is not None and vector.expiry < use.day:
        found = NO
    return found


def _permits_purpose(vector: Vector, purpose: str | None) -> Permission:
    if purpose is None:
        return UNDETERMINED
    if purpose == ANY or purpose in vector.forbidden:
        return NO
    return YES if vector.purposes is None or purpose in vector.purposes else NO
