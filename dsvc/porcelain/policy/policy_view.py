"""What is in force: packs, settings, thresholds and where each comes from, and who is on the roster."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from blake3 import blake3

from dsvc.model.errors import CorruptDataError, MalformedInputError, MissingDataError
from dsvc.policy.pack import Pack
from dsvc.policy.roster import Roster
from dsvc.policy.rule import RuleUse, Value
from dsvc.porcelain.policy.judged_version import judged_version
from dsvc.porcelain.policy.policy_in_force import InForce, Policy, in_force
from dsvc.porcelain.policy.roster import roster_in_force
from dsvc.porcelain.records.lineage_facts import rules_file
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import RULES_FILE


class Given(StrEnum):
    """Where the value of a parameter comes from."""

    RULE = "rule"
    PACK = "pack"
    PROFILE = "profile"
    SETTINGS = "dsvc.toml"


class Threshold(NamedTuple):
    """A parameter of a rule in force."""

    name: str
    value: Value
    given: Given


class PolicyView(NamedTuple):
    """What the next commit would be judged by.

    Attributes
    ----------
    in_force : InForce
    roster : Roster or None
        None: there is none, or `roster_problem` says why it can't be told.
    roster_first : str or None
        Commit whose roster was trusted first.
    roster_problem : str or None
    unstaged : bool
        Whether ``dsvc.toml`` in the working tree is another one.
    """

    in_force: InForce
    roster: Roster | None
    roster_first: str | None
    roster_problem: str | None
    unstaged: bool


def policy_view(repo: Workspace) -> PolicyView:
    """Find what judges what is staged.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If the version can't be read.
    """
    version = judged_version(repo, staged=True)
    found = in_force(repo, version.root, version.bases)
    roster, first, problem = None, None, None
    try:
        state = roster_in_force(repo, version.root, None, version.parents, version.target)
        roster, first = state.roster, state.first
    except (MissingDataError, CorruptDataError, MalformedInputError) as error:
        problem = error.message
    staged = rules_file(repo, version.root)
    here = _digest_here(repo)
    unstaged = here != (None if staged is None else blake3(staged).digest())
    return PolicyView(found, roster, None if first is None else str(first), problem, unstaged)


def _digest_here(repo: Workspace) -> bytes | None:
    import os

    try:
        with open(os.path.join(os.fsencode(repo.root), RULES_FILE.encode()), "rb") as stream:
            return blake3(stream.read()).digest()
    except OSError:
        return None


def thresholds(policy: Policy, use: RuleUse) -> list[Threshold]:
    """Values of a rule's parameters, and where each comes from."""
    id_, settings = use.rule.id, policy.settings
    pack = next((each for each in policy.packs if each.name == use.pack), None)
    profile: Mapping[str, Value] = {}
    if pack is not None and settings.profile is not None:
        profile = pack.profiles.get(settings.profile, {}).get(id_, {})
    own = settings.parameters.get(id_, {})
    found = []
    for name, value in sorted(use.terms.parameters.items()):
        given = Given.RULE
        if name in own:
            given = Given.SETTINGS
        elif name in profile:
            given = Given.PROFILE
        elif value != use.rule.parameters[name].default:
            given = Given.PACK
        found.append(Threshold(name, value, given))
    return found


def is_in_force(view: PolicyView | None, pack: Pack) -> bool:
    """Whether a pack is among those in force."""
    return view is not None and any(each.digest == pack.digest for each in view.in_force.packs)
