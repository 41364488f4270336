"""The policy that judges a version: that of the branch it goes to, united with its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from dsvc.model.errors import UsageError
from dsvc.model.ids import NodeId
from dsvc.policy.pack import DEFAULT, INVARIANTS, MAX_PACK_BYTES, Pack, PackError, load_built_in, parse_pack
from dsvc.policy.rule import GATES, SEVERITIES, RuleUse, Stricter
from dsvc.policy.settings import PolicySettings, parse_settings
from dsvc.porcelain.records.lineage_facts import rules_file
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import RULES_FILE
from dsvc.store.materialize import read_content

REPAIRED: Final = "PIL-02"
"""The rule over defects that block."""


class Policy(NamedTuple):
    """What one ``dsvc.toml`` puts in force.

    Attributes
    ----------
    settings : PolicySettings
    packs : tuple of Pack
    uses : tuple of RuleUse
    """

    settings: PolicySettings = PolicySettings()
    packs: tuple[Pack, ...] = ()
    uses: tuple[RuleUse, ...] = ()


class PolicyChange(msgspec.Struct, frozen=True):
    """What a version changes of the policy of the branch that it goes to.

    Attributes
    ----------
    what : str
        A rule or a setting.
    before, after : str
    weaker : bool
        Whether less is asked, or that can't be told.
    """

    what: str
    before: str
    after: str
    weaker: bool


class InForce(NamedTuple):
    """The policies that judge a version.

    Attributes
    ----------
    policies : tuple of Policy
        Its own and that of the branch that it goes to, where the two differ.
    changes : tuple of PolicyChange
        What it changes of the latter.
    problems : tuple of str
        What can't be read of either.
    """

    policies: tuple[Policy, ...]
    changes: tuple[PolicyChange, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def packs(self) -> tuple[Pack, ...]:
        """All packs in force, each once."""
        return tuple({pack.digest: pack for policy in self.policies for pack in policy.packs}.values())

    @property
    def is_named(self) -> bool:
        """Whether any policy is named at all."""
        return bool(self.packs or self.problems)


def policy_of(repo: Workspace, root: NodeId) -> Policy:
    """Read what the ``dsvc.toml`` of a version puts in force.

    Raises
    ------
    PolicySettingsError, PackError, UnknownRuleError
        If it, or a pack that it names, is malformed.
    """
    settings = parse_settings(rules_file(repo, root), RULES_FILE)
    packs = tuple(_pack(repo, root, name) for name in settings.packs)
    return put_in_force(settings, packs)


def put_in_force(settings: PolicySettings, packs: Sequence[Pack]) -> Policy:
    """Take the rules of packs under the settings.

    Raises
    ------
    PackError
        If the settings override a threshold that no pack has, or loosen one.
    """
    named = {id_ for pack in packs for id_ in pack.rules}
    for id_ in settings.parameters:
        if id_ not in named:
            raise PackError(f"[policy.parameters] names rule {id_}, which no pack in force has")
    if settings.profile is not None and not any(settings.profile in pack.profiles for pack in packs):
        offered = sorted({name for pack in packs for name in pack.profiles})
        raise PackError(
            f"no pack in force has a profile {settings.profile!r}",
            hint=f"there are: {', '.join(offered)}" if offered else None,
        )
    uses = [use for pack in packs for use in pack.uses(settings.profile, settings.parameters)]
    return Policy(settings, tuple(packs), tuple(uses))


def _pack(repo: Workspace, root: NodeId, name: str) -> Pack:
    if not name.endswith(".toml"):
        return load_built_in(name)
    entry = repo.manifest(root).get(name.encode())
    if entry is None or not entry.is_file or entry.size > MAX_PACK_BYTES:
        raise PackError(f"the version has no pack {name} of at most {MAX_PACK_BYTES >> 20} MiB")
    return parse_pack(read_content(repo.store, entry), name)


def in_force(
    repo: Workspace, root: NodeId, bases: Sequence[NodeId] = (), more: tuple[bytes, str] | None = None
) -> InForce:
    """Unite the policy of a version with that of the branch that it goes to.

    Parameters
    ----------
    root : NodeId
        Manifest of the version.
    bases : sequence of NodeId
        Manifests of the head of that branch and of the version before.
    more : (bytes, str) or None
        Content and name of a pack to ask too.

    Raises
    ------
    PackError
        If `more` is malformed.
    MissingDataError, CorruptDataError, MalformedInputError
        If a manifest, a ``dsvc.toml`` or a pack can't be read.
    """
    problems: list[str] = []
    found: list[Policy] = []
    for number, each in enumerate(dict.fromkeys((root, *bases))):
        try:
            found.append(policy_of(repo, each))
        except UsageError as error:
            side = "" if number == 0 else "of the branch that it goes to: "
            problems.append(side + error.message)
    united: list[Policy] = []
    for policy in _with_licences(found) or [Policy()]:
        if not any(_same(policy, other) for other in united):
            united.append(policy)
    changes = () if problems or len(found) < 2 else tuple(_changes(found[1], found[0]))
    if more is not None:
        settings = msgspec.structs.replace(united[0].settings, parameters={}, profile=None)
        united.append(put_in_force(settings, [parse_pack(*more)]))
    return InForce(tuple(united), changes, tuple(problems))


def _with_licences(found: Sequence[Policy]) -> list[Policy]:
    """Let each policy know licences that only another one declares: a new contract comes with its terms."""
    known: dict[str, Mapping[str, object]] = {}
    for policy in found:
        known |= policy.settings.licences
    return [
        policy._replace(
            settings=msgspec.structs.replace(policy.settings, licences=known | dict(policy.settings.licences))
        )
        for policy in found
    ]


def for_release(found: InForce) -> InForce:
    """Ask the default pack where a release is judged and no policy is named.

    That no blocking defect is open is asked whatever is named: nothing goes out with one.
    """
    if found.is_named:
        first, *others = found.policies
        if any(use.rule.id == REPAIRED for policy in found.policies for use in policy.uses):
            return found
        added = [use for use in load_built_in(DEFAULT).uses(None) if use.rule.id == REPAIRED]
        return found._replace(policies=(first._replace(uses=(*first.uses, *added)), *others))
    return found._replace(policies=(put_in_force(found.policies[0].settings, [load_built_in(DEFAULT)]),))


def invariants() -> Policy:
    """What is asked whatever policy is in force."""
    return put_in_force(PolicySettings(), [load_built_in(INVARIANTS)])


def _same(own: Policy, theirs: Policy) -> bool:
    return own.settings == theirs.settings and [p.digest for p in own.packs] == [
        p.digest for p in theirs.packs
    ]


def _changes(old: Policy, new: Policy) -> Iterator[PolicyChange]:
    """Compare two policies, rule by rule and setting by setting."""
    before, after = _strictest(old), _strictest(new)
    for id_ in sorted(before.keys() | after.keys()):
        a, b = before.get(id_), after.get(id_)
        if a is None or b is None:
            yield PolicyChange(id_, "-" if a is None else "asked", "-" if b is None else "asked", b is None)
            continue
        for name, one, two, weaker in _term_changes(a, b):
            yield PolicyChange(f"{id_} {name}".strip(), one, two, weaker)
    mine, theirs = msgspec.to_builtins(new.settings), msgspec.to_builtins(old.settings)
    for name in sorted(mine):
        if name not in ("packs", "parameters", "profile") and mine[name] != theirs[name]:
            yield PolicyChange(name, str(theirs[name]), str(mine[name]), True)


def _strictest(policy: Policy) -> Mapping[str, RuleUse]:
    """One use of each rule: of several the one that blocks first."""
    found: dict[str, RuleUse] = {}
    for use in policy.uses:
        old = found.get(use.rule.id)
        if old is None or _rank(use) < _rank(old):
            found[use.rule.id] = use
    return found


def _rank(use: RuleUse) -> tuple[int, int]:
    return SEVERITIES.index(use.terms.severity), GATES.index(use.terms.gate)


def _term_changes(old: RuleUse, new: RuleUse) -> Iterator[tuple[str, str, str, bool]]:
    a, b = old.terms, new.terms
    if a.severity is not b.severity:
        weaker = SEVERITIES.index(b.severity) > SEVERITIES.index(a.severity)
        yield "severity", a.severity, b.severity, weaker
    if a.gate is not b.gate:
        yield "stage", a.gate, b.gate, GATES.index(b.gate) > GATES.index(a.gate)
    for name in sorted(a.parameters.keys() | b.parameters.keys()):
        one, two = a.parameters.get(name), b.parameters.get(name)
        if one != two:
            direction = old.rule.parameters[name].stricter if name in old.rule.parameters else None
            weaker = True
            if direction is not None and isinstance(one, int | float) and isinstance(two, int | float):
                weaker = (two > one) != (direction is Stricter.HIGHER)
            yield name, str(one), str(two), weaker
    days = (a.effective_from, a.effective_until), (b.effective_from, b.effective_until)
    if days[0] != days[1]:
        yield "effect", f"{days[0][0]}..{days[0][1]}", f"{days[1][0]}..{days[1][1]}", True
