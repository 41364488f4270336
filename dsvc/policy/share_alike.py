"""Whether data may be adapted together, and under which licence the result may be given to others.

A share-alike licence wants the adaptation to carry it, or one that it accepts, and no further limits. So what
comes together needs one licence that all of these accept, and that permits no more than the others do.
"""

from __future__ import annotations

from functools import reduce
from typing import Final, NamedTuple

from dsvc.lineage.license_text import LicenceTree, licence_tree
from dsvc.lineage.source_fields import UNDETERMINED as NO_EXPRESSION
from dsvc.policy.licence_terms import NOTHING_DECLARED, Declared, accepted_by, terms_of
from dsvc.policy.licence_vector import NO, UNDETERMINED, YES, Choices, Permission, Vector, permission

_GRANTS: Final = ("commercial", "share_adapted", "redistribute", "unnamed")
MAX_BRANCHES: Final = 64


class Sharing(NamedTuple):
    """Whether an adaptation may be given to others.

    Attributes
    ----------
    permission : Permission
    licences : tuple of str
        Licences that it may carry then; none where any will do, or none does.
    """

    permission: Permission
    licences: tuple[str, ...] = ()


def sharing_of(vector: Vector, declared: Declared = NOTHING_DECLARED) -> Sharing:
    """Say whether there is a licence under which an adaptation may be given to others."""
    least = min(vector.use, vector.share_adapted)
    if least is NO or not vector.share_alike:
        return Sharing(least)
    accepted = _accepted(vector, declared)
    found = {each: min(least, _allows(vector, each, declared)) for each in accepted}
    best = max(found.values(), default=NO)
    return Sharing(best, tuple(sorted(each for each, answer in found.items() if answer is best and best)))


def best_sharing(choices: Choices, declared: Declared = NOTHING_DECLARED) -> Sharing:
    """Say so of the best choice."""
    return max((sharing_of(each, declared) for each in choices), default=Sharing(UNDETERMINED))


def _accepted(vector: Vector, declared: Declared) -> frozenset[str]:
    return reduce(frozenset.__and__, (accepted_by(each, declared) for each in vector.share_alike))


def permits_output(choices: Choices, expression: str, declared: Declared = NOTHING_DECLARED) -> Permission:
    """Say whether data may be given to others, adapted, under a licence.

    Of an expression with ``OR`` every licence must do, since whoever gets the data chooses.

    Raises
    ------
    LicenseExpressionError
        If the expression can't be parsed.
    """
    if expression == NO_EXPRESSION:
        return UNDETERMINED
    branches = _branches(licence_tree(expression))
    if len(branches) > MAX_BRANCHES:
        return UNDETERMINED
    return permission(choices, lambda vector: min(_branch(vector, each, declared) for each in branches))


def _branches(tree: LicenceTree) -> list[frozenset[str]]:
    """Licences that hold together, for each choice that an expression leaves."""
    if isinstance(tree, str):
        return [frozenset([tree.partition(" WITH ")[0]])]
    word, parts = tree
    found = [_branches(part) for part in parts]
    if word == "OR":
        return [branch for each in found for branch in each]
    united = [frozenset[str]()]
    for each in found:
        united = [one | other for one in united for other in each][: MAX_BRANCHES + 1]
    return united


def _branch(vector: Vector, licences: frozenset[str], declared: Declared) -> Permission:
    if vector.share_alike and not licences & _accepted(vector, declared):
        # A licence of which nothing is known may permit what is asked, and stays a licence of its own.
        return NO
    least = min(vector.use, vector.share_adapted)
    return min(least, max(_allows(vector, each, declared) for each in licences))


def _allows(vector: Vector, licence: str, declared: Declared) -> Permission:
    """Say whether a licence gives others no more than one was given."""
    terms = terms_of(licence, declared)
    if terms is None:
        is_free = all(getattr(vector, name) is YES for name in _GRANTS)
        return YES if is_free and vector.purposes is None and not vector.forbidden else UNDETERMINED
    given = terms.vector
    found = YES
    for name in _GRANTS:
        mine, theirs = getattr(vector, name), getattr(given, name)
        if theirs > mine:
            found = min(found, NO if mine is NO and theirs is YES else UNDETERMINED)
    if vector.purposes is not None and (given.purposes is None or not given.purposes <= vector.purposes):
        found = NO
    if not vector.forbidden <= given.forbidden:
        found = NO
    for limit in (vector.territory, vector.consumers, vector.expiry):
        if limit is not None:
            found = min(found, UNDETERMINED)
    return found
