"""What may be done with data, as a vector; and choices between vectors. Coming together permits never more.

Every part of a vector has a strictest-of-two: the lesser permission, the union of what is demanded, the
common part of what is allowed. So vectors are a meet-semilattice, and choices between vectors, of which
only those are kept that no other one surpasses, are one too: the order in which licences come together, and
how often, doesn't matter, and one more licence, or one of which nothing is known, never permits more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Final, NamedTuple

from dsvc.model.errors import PolicyIncompleteError

MAX_CHOICES: Final = 32


class TooManyChoicesError(PolicyIncompleteError):
    """Licences leave more choices than are followed."""

    code = "licence-choices"


class Permission(IntEnum):
    """Whether something may be done; what isn't known is never permission."""

    NO = 0
    UNDETERMINED = 1
    YES = 2

    @property
    def word(self) -> str:
        """As people write it."""
        return self.name.lower()

    @classmethod
    def of(cls, word: str) -> Permission:
        """Read ``yes`` and ``no``; anything else is undetermined."""
        return {"yes": cls.YES, "no": cls.NO}.get(word, cls.UNDETERMINED)


NO, UNDETERMINED, YES = Permission


class Vector(NamedTuple):
    """What may be done with data.

    Attributes
    ----------
    use : Permission
        Whether it may be used at all.
    commercial : Permission
        Whether for gain.
    adapt, share_adapted : Permission
        Whether it may be adapted, and whether what comes of that may be given to others.
    redistribute : Permission
        Whether copies may be given to others.
    unnamed : Permission
        Whether title, author and licence may be left out.
    share_alike : frozenset of str
        Licences that want adaptations to carry them.
    purposes : frozenset of str or None
        For what it may be used; None: anything.
    forbidden : frozenset of str
        For what it may not be used.
    territory, consumers : frozenset of str or None
        Where and by whom; None: anywhere, anybody.
    expiry : str or None
        The last day, ``YYYY-MM-DD``.
    """

    use: Permission = YES
    commercial: Permission = YES
    adapt: Permission = YES
    share_adapted: Permission = YES
    redistribute: Permission = YES
    unnamed: Permission = YES
    share_alike: frozenset[str] = frozenset()
    purposes: frozenset[str] | None = None
    forbidden: frozenset[str] = frozenset()
    territory: frozenset[str] | None = None
    consumers: frozenset[str] | None = None
    expiry: str | None = None

    def meet(self, other: Vector) -> Vector:
        """What both permit."""
        return Vector(
            min(self.use, other.use),
            min(self.commercial, other.commercial),
            min(self.adapt, other.adapt),
            min(self.share_adapted, other.share_adapted),
            min(self.redistribute, other.redistribute),
            min(self.unnamed, other.unnamed),
            self.share_alike | other.share_alike,
            _common(self.purposes, other.purposes),
            self.forbidden | other.forbidden,
            _common(self.territory, other.territory),
            _common(self.consumers, other.consumers),
            min((day for day in (self.expiry, other.expiry) if day is not None), default=None),
        )

    def at_most(self, permission: Permission) -> Vector:
        """The same, with no permission above one."""
        return self.meet(Vector(permission, permission, permission, permission, permission, permission))

    def within(self, other: Vector) -> bool:
        """Whether it permits nothing that the other one doesn't."""
        return (
            self.use <= other.use
            and self.commercial <= other.commercial
            and self.adapt <= other.adapt
            and self.share_adapted <= other.share_adapted
            and self.redistribute <= other.redistribute
            and self.unnamed <= other.unnamed
            and self.share_alike >= other.share_alike
            and self.meet(other) == self
        )


def _common(mine: frozenset[str] | None, theirs: frozenset[str] | None) -> frozenset[str] | None:
    if mine is None or theirs is None:
        return theirs if mine is None else mine
    return mine & theirs


Choices = frozenset[Vector]
"""Vectors of which one may be chosen; none of them permits all that another one does."""
FREE: Final[Choices] = frozenset([Vector()])
"""Everything is permitted: what comes of no licence at all, and changes nothing where it comes to others."""
UNKNOWN: Final[Choices] = frozenset([Vector().at_most(UNDETERMINED)])
"""Nothing is known."""


def _best(vectors: Iterable[Vector]) -> Choices:
    """Leave out what another vector surpasses."""
    found = set(vectors)
    if len(found) > 1:
        found = {one for one in found if not any(one is not other and one.within(other) for other in found)}
    if len(found) > MAX_CHOICES:
        raise TooManyChoicesError(
            f"licences leave more than {MAX_CHOICES} choices",
            hint="say which licence is used: dsvc source set ID --license SPDX",
        )
    return frozenset(found)


def both(mine: Choices, theirs: Choices) -> Choices:
    """Let two licences hold together.

    Raises
    ------
    TooManyChoicesError
        If what is left is too much to follow.
    """
    if mine == theirs:
        return mine
    if len(mine) == 1 == len(theirs):
        (one,), (other,) = mine, theirs
        return frozenset([one.meet(other)])
    return _best(one.meet(other) for one in mine for other in theirs)


def either(mine: Choices, theirs: Choices) -> Choices:
    """Let one of two licences hold, as the user chooses; raises as `both`."""
    return _best(mine | theirs)


def permission(choices: Choices, ask: Callable[[Vector], Permission]) -> Permission:
    """Say whether some choice permits what is asked for."""
    return max((ask(each) for each in choices), default=UNDETERMINED)


def choose(choices: Choices, ask: Callable[[Vector], Permission]) -> Choices:
    """Keep the choices that permit most of what is asked for.

    What is asked next is asked of these alone: of a licence for gain without adaptation, or one with
    adaptation but not for gain, none permits both.
    """
    if len(choices) < 2:
        return choices
    most = permission(choices, ask)
    return frozenset(each for each in choices if ask(each) is most)
