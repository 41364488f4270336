"""What may be done with files by the licences of all that they come from, and who forbids what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from dsvc.lineage.closure import Closure
from dsvc.lineage.coverage import Origins
from dsvc.model.errors import PolicyDeniedError, PolicyIncompleteError, UsageError
from dsvc.model.ids import CommitId, NodeId
from dsvc.model.manifest import Entry
from dsvc.model.paths import display_path
from dsvc.policy.licence_facts import LicenceFacts
from dsvc.policy.licence_fold import permits_use
from dsvc.policy.licence_vector import NO, YES, Choices, Permission, Vector, permission
from dsvc.policy.settings import PolicySettings, parse_settings
from dsvc.policy.share_alike import best_sharing
from dsvc.porcelain.lineage.lineage_target import (
    DefectTarget,
    LineageTarget,
    ReleaseTarget,
    RunTarget,
    SourceTarget,
)
from dsvc.porcelain.records.lineage_facts import origins, origins_at, rules_file
from dsvc.porcelain.records.source_chain import SOURCES
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_columns import TableColumns
from dsvc.porcelain.tables.table_rules import RULES_FILE
from dsvc.porcelain.tree.read import ls
from dsvc.table.roles import TableRules

if TYPE_CHECKING:
    from dsvc.lineage.graph import ArtifactNode

_SHOWN: Final = 5


class MayNotBeSharedError(PolicyDeniedError):
    """A licence forbids to give data to others."""

    code = "may-not-be-shared"


class SharingUndeterminedError(PolicyIncompleteError):
    """Whether data may be given to others isn't known."""

    code = "sharing-undetermined"


class Permitted(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one thing may be done.

    Attributes
    ----------
    what : str
        ``use`` (as ``dsvc.toml`` says), ``commercial``, ``adapt``, ``share_adapted`` or ``redistribute``.
    permission : str
        ``yes``, ``no`` or ``undetermined``.
    by : tuple of str
        Sources that forbid it, or of which it isn't known.
    """

    what: str
    permission: str
    by: tuple[str, ...] = ()


class SourceLicence(msgspec.Struct, frozen=True, kw_only=True):
    """Licence of a source; `own_terms` where it has terms that a person has to read."""

    source: str
    licence: str
    own_terms: bool = False


class LicenceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What may be done with some files, or with what a source has.

    Attributes
    ----------
    files : int
        How many were looked at.
    unknown_files : tuple of str
        Files of which not all that they come from is known, the first ones.
    purpose : str or None
        What ``dsvc.toml`` says they are for.
    sources : tuple of SourceLicence
        All that they come from.
    answers : tuple of Permitted
    choices : int
        How many choices the licences leave; each answer is that of the best one.
    attribution : tuple of str
        Sources that must be named.
    share_alike : tuple of str
        Licences that adaptations must carry.
    shareable : str
        Whether an adaptation of all of them together may be given to others.
    output_licences : tuple of str
        Under which licences then; none: any that gives no more than these do.
    purposes, territory, consumers : tuple of str or None
        For what, where and by whom they may be used; None: not limited.
    forbidden : tuple of str
        For what they may not.
    expiry : str or None
        The last day.
    """

    files: int
    unknown_files: tuple[str, ...]
    purpose: str | None
    sources: tuple[SourceLicence, ...]
    answers: tuple[Permitted, ...]
    choices: int
    attribution: tuple[str, ...]
    share_alike: tuple[str, ...]
    shareable: str
    output_licences: tuple[str, ...]
    purposes: tuple[str, ...] | None
    forbidden: tuple[str, ...]
    territory: tuple[str, ...] | None
    consumers: tuple[str, ...] | None
    expiry: str | None


def licence_of(repo: Workspace, target: LineageTarget | None, day: str) -> LicenceAnswer:
    """Say what may be done with a file, a folder, a version or what a source has.

    Parameters
    ----------
    target : LineageTarget or None
        A file or a folder, of which a row counts as the whole file, or a source; None: all of HEAD.
    day : str
        On which day, ``YYYY-MM-DD``.

    Raises
    ------
    NotFoundError
        If there is no such revision, path or source.
    UsageError
        If it is a run, or ``dsvc.toml`` is malformed.
    LicenseExpressionError, TooManyChoicesError
        If a licence can't be parsed, or leaves too many choices.
    MissingDataError, CorruptDataError, MalformedInputError
        If the lineage can't be read.
    """
    if isinstance(target, RunTarget | DefectTarget | ReleaseTarget):
        raise UsageError(f"{target} is no file", hint="name a file, a folder or a source")
    is_source = isinstance(target, SourceTarget)
    rev = None if target is None or isinstance(target, SourceTarget) else target.revision
    path = b"" if target is None or isinstance(target, SourceTarget) else target.path
    listed = () if is_source else ls(repo, rev, path, recursive=True)
    entries = [item.entry for item in listed if item.entry is not None]
    root, known = origins_at(repo, rev)
    facts = _facts(repo, root, known, entries, day)
    if isinstance(target, SourceTarget):
        if target.id not in known.sources.all:
            raise SOURCES.missing(repo, target.id)
        return _answer(facts, (target.id,), [], 0)
    files = dict(facts.files())
    unknown = [display_path(node.path) for node, descent in files.items() if not descent.whole]
    return _answer(facts, facts.names, unknown, len(files))


def _facts(repo: Workspace, root: NodeId, known: Origins, entries: Iterable[Entry], day: str) -> LicenceFacts:
    for error in (*known.sources.unreadable.values(), *known.runs.unreadable.values()):
        raise error
    rules = rules_file(repo, root)
    settings: PolicySettings = parse_settings(rules, RULES_FILE)
    tables = TableRules() if rules is None else TableRules.parse(rules, RULES_FILE)
    return LicenceFacts(known, Closure(known, entries), settings, tables, TableColumns(repo), day)


def _answer(facts: LicenceFacts, names: tuple[str, ...], unknown: list[str], files: int) -> LicenceAnswer:
    choices = facts.folds.of(names, whole=not unknown)
    use = facts.use(names)
    asks: dict[str, Callable[[Vector], Permission]] = {
        "use": lambda vector: permits_use(vector, use),
        "commercial": lambda vector: min(vector.use, vector.commercial),
        "adapt": lambda vector: min(vector.use, vector.adapt),
        "share_adapted": lambda vector: min(vector.use, vector.share_adapted),
        "redistribute": lambda vector: min(vector.use, vector.redistribute),
    }
    sharing = best_sharing(choices, facts.declared)
    named = [n for n in names if permission(facts.folds.own(n), lambda vector: vector.unnamed) is not YES]
    return LicenceAnswer(
        files=files,
        unknown_files=tuple(unknown[:_SHOWN]),
        purpose=facts.settings.purpose,
        sources=tuple(
            SourceLicence(source=n, licence=facts.licence(n), own_terms=facts.has_own_terms(n)) for n in names
        ),
        answers=tuple(_permitted(facts, names, choices, what, ask) for what, ask in asks.items()),
        choices=len(choices),
        attribution=tuple(named),
        share_alike=_in_all(each.share_alike for each in choices),
        shareable=sharing.permission.word,
        output_licences=sharing.licences,
        purposes=_in_any(each.purposes for each in choices),
        forbidden=_in_all(each.forbidden for each in choices),
        territory=_in_any(each.territory for each in choices),
        consumers=_in_any(each.consumers for each in choices),
        expiry=min((each.expiry for each in choices if each.expiry is not None), default=None),
    )


def _in_all(parts: Iterable[frozenset[str]]) -> tuple[str, ...]:
    """What is demanded whichever choice is taken."""
    return tuple(sorted(frozenset.intersection(*parts)))


def _in_any(parts: Iterable[frozenset[str] | None]) -> tuple[str, ...] | None:
    """What is allowed by some choice; None where one doesn't limit it."""
    found: set[str] = set()
    for part in parts:
        if part is None:
            return None
        found |= part
    return tuple(sorted(found))


def _permitted(
    facts: LicenceFacts,
    names: tuple[str, ...],
    choices: Choices,
    what: str,
    ask: Callable[[Vector], Permission],
) -> Permitted:
    found = permission(choices, ask)
    by = [n for n in names if permission(facts.folds.own(n), ask) is found] if found is not YES else []
    return Permitted(what=what, permission=found.word, by=tuple(by))


# Giving data to others


def check_export(repo: Workspace, commit: CommitId, day: str) -> None:
    """Refuse to give a version to others where a policy is in force and a licence doesn't permit it.

    In force is what the version names, or HEAD.

    Raises
    ------
    MayNotBeSharedError
        If a licence of anything that it comes from forbids it.
    SharingUndeterminedError
        If that isn't known.
    MissingDataError, CorruptDataError, MalformedInputError
        If its lineage can't be read.
    """
    from dsvc.porcelain.policy.policy_in_force import in_force

    root = repo.history.read_commit(commit).manifest
    found = in_force(repo, root, [repo.head_root(repo.history.refs.head())])
    if not found.is_named:
        return
    if found.problems:
        raise SharingUndeterminedError(f"the policy can't be asked: {found.problems[0]}")
    known = origins(repo, root, [lineage_of(repo, commit)])
    facts = _facts(repo, root, known, repo.manifest(root).entries(), day)
    refused: dict[Permission, list[ArtifactNode]] = {}
    sources: dict[Permission, dict[str, None]] = {}
    for node, descent in facts.files():
        content = facts.contents[node]
        answer = YES if descent.whole else Permission.UNDETERMINED
        for name in descent.sources:
            each = _may_be_shared(facts, name, name in content.adapted, name in content.unknown, day)
            if each is not YES:
                sources.setdefault(each, {})[name] = None
            answer = min(answer, each)
        if answer is not YES:
            refused.setdefault(answer, []).append(node)
    _refuse(facts, refused, sources)


def _may_be_shared(facts: LicenceFacts, name: str, adapted: bool, unclear: bool, day: str) -> Permission:
    def ask(vector: Vector) -> Permission:
        found = min(vector.use, vector.redistribute)
        if vector.expiry is not None and vector.expiry < day:
            return NO
        if adapted:
            return min(found, vector.share_adapted)
        return min(found, max(vector.share_adapted, Permission.UNDETERMINED)) if unclear else found

    return permission(facts.chosen((name,)), ask)


def _refuse(
    facts: LicenceFacts,
    refused: dict[Permission, list[ArtifactNode]],
    sources: dict[Permission, dict[str, None]],
) -> None:
    for answer, kind, words in (
        (NO, MayNotBeSharedError, "may not be given to others"),
        (Permission.UNDETERMINED, SharingUndeterminedError, "may perhaps not be given to others"),
    ):
        if answer not in refused:
            continue
        nodes = refused[answer]
        first = display_path(nodes[0].path)
        more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
        names = sources.get(answer, {})
        because = facts.shown(names) if names else "not all that they come from is known"
        raise kind(
            f"{first}{more} {words}: {because}",
            hint="--internal writes it for use in your own house, and .dsvc/audit.jsonl says so",
            details={"files": len(nodes), "sources": list(names)},
        )
