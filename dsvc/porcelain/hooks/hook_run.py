"""What a hook judges: what git or dsvc is about to commit, what is pushed, what a push brings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Final, NamedTuple

from dsvc.lineage.validation import Gate
from dsvc.model.errors import MalformedInputError, NotFoundError, PolicyDeniedError, UsageError
from dsvc.model.ids import CommitId
from dsvc.policy.engine import exit_code_of
from dsvc.porcelain.hooks.git_checkout import GitCheckout, HookEnvironmentError, git_around
from dsvc.porcelain.hooks.git_index import rules_in_git, staged_in_git, store_git_files
from dsvc.porcelain.policy.check import check, judge_version, unreadable_version
from dsvc.porcelain.policy.judged_version import overlaid_version
from dsvc.porcelain.policy.verdict import CheckResult
from dsvc.porcelain.state.moment import now
from dsvc.porcelain.state.workspace import Workspace
from dsvc.porcelain.tables.table_rules import RULES_FILE

MAX_INPUT_BYTES: Final = 64 << 20
_ID: Final = re.compile("[0-9a-f]{40}")
_ZERO: Final = re.compile("0+")
_KEPT_REFS: Final = "refs/dsvc/"


class RefRefusedError(PolicyDeniedError):
    """A push would take back what dsvc has recorded."""

    code: ClassVar[str] = "ref-refused"


class HookVerdict(NamedTuple):
    """What a hook says of one thing.

    Attributes
    ----------
    judged : str
        ``staged`` (what dsvc is about to commit), ``git`` (what git is), ``HEAD``, or the name of a ref.
    result : CheckResult
    """

    judged: str
    result: CheckResult


class RefMove(NamedTuple):
    """A ref that a push moves; None: it isn't there before or after, or not known."""

    ref: str
    old: CommitId | None
    new: CommitId | None


def hook_exit_code(verdicts: Iterable[HookVerdict]) -> int:
    """Give what a hook exits with: the first present of 22, 20, 21, 23; else 0."""
    return exit_code_of([each for verdict in verdicts for each in verdict.result.violations])


def run_hook(
    repo: Workspace, name: str, folder: str, environ: Mapping[str, str], data: bytes = b""
) -> list[HookVerdict]:
    """Judge what a hook is for.

    Parameters
    ----------
    name : str
        ``pre-commit``, ``pre-push`` or ``pre-receive``.
    folder : str
        Where it runs.
    environ : mapping of str to str
        Its environment.
    data : bytes
        What git writes to it: the refs that a push moves.

    Raises
    ------
    UsageError
        If there is no such hook.
    HookEnvironmentError
        If it can't be told what there is to judge.
    RefRefusedError
        If a push would take back what dsvc has recorded.
    MalformedInputError
        If `data` can't be read, or git has a path that dsvc can't have.
    """
    if name == "pre-commit":
        return pre_commit(repo, folder, environ)
    if name == "pre-push":
        return pre_push(repo, folder, environ, data)
    if name == "pre-receive":
        return pre_receive(repo, folder, environ, data)
    raise UsageError(f"there is no hook {name!r}", hint="there are pre-commit, pre-push and pre-receive")


def pre_commit(repo: Workspace, folder: str, environ: Mapping[str, str]) -> list[HookVerdict]:
    """Judge what dsvc is about to commit, and each file that git is about to commit, as if it were new."""
    verdicts = [HookVerdict("staged", check(repo, staged=True, gate=Gate.COMMIT))]
    git = git_around(folder, environ)
    result = None if git is None else _index_judged(repo, git)
    return verdicts if result is None else [*verdicts, HookVerdict("git", result)]


def _index_judged(repo: Workspace, git: GitCheckout) -> CheckResult | None:
    wanted = staged_in_git(repo, git)
    if not wanted:
        return None
    paths = frozenset(file.path for file in wanted)
    rules_path = RULES_FILE.encode()
    if rules_path not in paths and repo.manifest(repo.staged().root).get(rules_path) is None:
        # Rules that only git has hold for what it commits, too.
        rules = rules_in_git(repo, git)
        wanted += [] if rules is None else [rules]
    with repo.changing():
        version = overlaid_version(repo, list(store_git_files(repo, git, wanted)), paths)
        return judge_version(repo, version, Gate.COMMIT, now())


def pre_push(repo: Workspace, folder: str, environ: Mapping[str, str], data: bytes) -> list[HookVerdict]:
    """Judge what is pushed: of dsvc's own history each version, of a repository with code dsvc's HEAD."""
    moves = [
        RefMove(remote, _known(repo, there), None if _ZERO.fullmatch(here) else _commit_id(here))
        for _, here, remote, there in _lines(data, 4)
    ]
    if _is_own(repo, folder, environ):
        return [
            HookVerdict(move.ref, _judged(repo, move.new, move.old))
            for move in moves
            if move.new is not None and not move.ref.startswith(_KEPT_REFS)
        ]
    git_around(folder, environ)
    if moves and all(move.new is None for move in moves):
        return []
    return [HookVerdict("HEAD", check(repo, gate=Gate.PUSH))]


def pre_receive(repo: Workspace, folder: str, environ: Mapping[str, str], data: bytes) -> list[HookVerdict]:
    """Judge what a push brings into dsvc's own history: the old value of each ref is where it goes to.

    Raises
    ------
    HookEnvironmentError
        If git doesn't run it, or not in the history of dsvc.
    """
    if not _is_own(repo, folder, environ):
        raise HookEnvironmentError(
            "pre-receive judges what comes into the history of dsvc, and runs in .dsvc/git",
            hint="dsvc hook install pre-receive puts it there",
        )
    if not data:
        raise HookEnvironmentError(
            "git didn't say which refs are to move", hint="git runs this hook, nobody else"
        )
    _see_incoming(repo, folder, environ)
    verdicts = []
    for old, new, ref in _lines(data, 3):
        move = RefMove(ref, _value(old), _value(new))
        if ref.startswith(_KEPT_REFS):
            _check_kept(repo, move)
        elif move.new is not None:
            verdicts.append(HookVerdict(ref, _judged(repo, move.new, move.old)))
    return verdicts


def _check_kept(repo: Workspace, move: RefMove) -> None:
    """Let what dsvc has recorded only grow: sources, requests, waivers, operations are chains."""
    if move.new is None or (move.old is not None and not repo.history.is_ancestor(move.old, move.new)):
        raise RefRefusedError(
            f"{move.ref} would lose what is recorded there", hint="fetch it first, then add to it"
        )
    repo.history.read_commit(move.new)


def _see_incoming(repo: Workspace, folder: str, environ: Mapping[str, str]) -> None:
    """Read the objects that git holds apart until the hook has let them in."""
    named = environ.get("GIT_QUARANTINE_PATH")
    if not named:
        return
    path = os.path.realpath(os.path.join(folder, named))
    objects = os.path.realpath(os.path.join(repo.layout.git, "objects"))
    if not path.startswith(objects + "/"):
        raise HookEnvironmentError(f"GIT_QUARANTINE_PATH names {named!r}, which is no place of this history")
    repo.take_incoming(path)


def _is_own(repo: Workspace, folder: str, environ: Mapping[str, str]) -> bool:
    """Whether a hook runs in dsvc's own history."""
    own = os.path.realpath(repo.layout.git)
    if os.path.realpath(folder) == own:
        return os.path.realpath(os.path.join(folder, environ.get("GIT_DIR") or ".")) == own
    named = environ.get("GIT_DIR")
    return bool(named) and os.path.realpath(os.path.join(folder, str(named))) == own


def _judged(repo: Workspace, commit: CommitId, target: CommitId | None) -> CheckResult:
    try:
        return check(repo, str(commit), gate=Gate.PUSH, target=None if target is None else str(target))
    except NotFoundError as error:
        # An object that isn't there says nothing of what it holds.
        return unreadable_version(Gate.PUSH, now().day, error)


def _known(repo: Workspace, text: str) -> CommitId | None:
    """Where a remote branch is, if its commit is here."""
    if _ZERO.fullmatch(text):
        return None
    id_ = _commit_id(text)
    return id_ if repo.history.odb.has(id_) else None


def _value(text: str) -> CommitId | None:
    return None if _ZERO.fullmatch(text) else _commit_id(text)


def _commit_id(text: str) -> CommitId:
    if not _ID.fullmatch(text):
        raise MalformedInputError(f"git names no object by {text[:80]!r}")
    return CommitId.parse(text)


def _lines(data: bytes, words: int) -> Iterator[list[str]]:
    """Read lines that git writes to a hook; names of refs have no blanks."""
    if len(data) > MAX_INPUT_BYTES or (data and not data.endswith(b"\n")):
        raise MalformedInputError("what git says of the refs that move is cut off or too long")
    for line in data.split(b"\n")[:-1]:
        found = os.fsdecode(line).split(" ")
        if len(found) != words or not all(found):
            raise MalformedInputError(f"git says what can't be read: {os.fsdecode(line)[:200]!r}")
        yield found
