"""Commands on runs and sources that faults are tried on, each with a repository of a few rows."""

from __future__ import annotations

import os
from collections.abc import Callable

from dsvc.model.run_record import RunKind
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs.rerun import Carrier
from dsvc.porcelain.runs.run_spec import RunSpec
from tests.faultkit import Command, commit_all, open_in, write
from tests.signkit import person

_FIELDS = {
    "title": "Words",
    "acquisition": "open_dataset",
    "legal_basis": "licence",
    "license_expression": "CC-BY-4.0",
}
_RAW = b"id,word\n1,one\n2,two\n3,three\n4,four\n"
_KEPT = b"id,word\n3,three\n4,four\n"
_FILTER = "grep -v -e one -e two raw.csv > kept.csv"


def _begun(root: str) -> Repository:
    Repository.init(root)
    repo = open_in(root)
    write(root, {b"raw.csv": _RAW, b"LICENSE": b"Do what you want.\n"})
    commit_all(repo, "raw")
    return repo


def _add(repo: Repository) -> object:
    licence = os.path.join(repo.root, "LICENSE")
    return repo.source_add("web", [b"raw.csv"], fields=_FIELDS, evidence=[licence], where="id > 1")


def _sourced(root: str) -> Repository:
    repo = _begun(root)
    _add(repo)
    return repo


def _grown(root: str) -> None:
    _sourced(root)
    write(root, {b"raw.csv": _RAW + b"5,five\n"})


def _set(repo: Repository) -> object:
    evidence = os.path.join(repo.root, "raw.csv")
    return repo.source_set("web", fields={"title": "Numbers"}, evidence=[f"other={evidence}"])


def _made(root: str) -> Repository:
    repo = _sourced(root)
    write(root, {b"kept.csv": _KEPT})
    return repo


def _spec(inputs: bytes = b"raw.csv", outputs: bytes = b"kept.csv") -> RunSpec:
    return RunSpec(name="keep", kind=RunKind.FILTER, inputs=[inputs], outputs=[outputs], keys={None: ("id",)})


def _manual(repo: Repository) -> object:
    return repo.run_manual(_spec(), "rows taken out by hand")


def _edited(root: str) -> None:
    """A pending run made a file, and somebody edited that."""
    repo = _made(root)
    _manual(repo)
    repo.add(all=True)
    write(root, {b"kept.csv": b"id,word\n4,four\n"})


def _correct(repo: Repository) -> object:
    return repo.run_manual(_spec(b"kept.csv"), "one more")


def _run(repo: Repository) -> object:
    environ = {"PATH": os.environ["PATH"]}
    return repo.run(_spec(), ["sh", "-c", _FILTER], environ=environ)


def _ran(root: str) -> None:
    _run(_sourced(root))


def _rerun(repo: Repository) -> object:
    first = min(repo.runs(), key=lambda tree: tree.run.started_at)
    return repo.rerun(first.id.hex(), Carrier(environ={"PATH": os.environ["PATH"]}))


def _waiting(root: str) -> None:
    """Two runs wait for a commit, one upon the other, and an ongoing source has new files."""
    repo = _begun(root)
    write(root, {b"in/one.csv": _RAW})
    repo.source_add("feed", [b"in"], fields={**_FIELDS, "ongoing": True})
    _add(repo)
    commit_all(repo, "first batch")
    write(root, {b"in/two.csv": b"id,word\n7,seven\n", b"kept.csv": _KEPT})
    _manual(repo)
    write(root, {b"last.csv": b"id,word\n4,four\n"})
    repo.run_manual(_spec(b"kept.csv", b"last.csv"), "one row")
    repo.add(all=True)


def _committed(root: str) -> None:
    _waiting(root)
    open_in(root).commit("second")


def _pending(root: str) -> None:
    _manual(_made(root))


def _roster(root: str) -> Repository:
    """An officer on the roster, who made nothing of what there is, and a policy of nobody."""
    officer = person("officer@example.org")
    roster = f"[roles]\ncompliance_officer = ['{officer.line}']\n"
    repo = _begun(root)
    write(root, {b"dsvc.toml": roster.encode(), b"officer.key": officer.private})
    commit_all(repo, "roster")
    repo.config.set("user.signingKey", "officer.key")
    return repo


def _waive(repo: Repository) -> object:
    return repo.waive("SRC-01", b"raw.csv", reason="on its way", until="2999-12-31")


def _waived(root: str) -> None:
    _waive(_roster(root))


def _revoke(repo: Repository) -> object:
    return repo.revoke_waiver(repo.waivers()[0].id, "it came")


def _undo(verb: str) -> Command:
    """By its id: undo alone takes back the next older operation when it's run again."""
    return lambda repo: repo.undo(next(str(each.id) for each in repo.operations() if each.verb == verb))


COMMANDS: dict[str, tuple[Callable[[str], object], Command, tuple[str, ...]]] = {
    "source-add": (_begun, _add, ("source-exists",)),
    "source-update": (_grown, lambda r: r.source_update("web"), ()),
    "source-set": (_sourced, _set, ()),
    "source-withdraw": (
        _sourced,
        lambda r: r.source_withdraw("web", "asked to"),
        ("source-withdrawn",),
    ),
    "run": (_sourced, _run, ()),
    "rerun": (_ran, _rerun, ()),
    "run-manual": (_made, _manual, ()),
    "run-manual-edited": (_edited, _correct, ()),
    "commit-runs": (_waiting, lambda r: r.commit("second"), ("nothing-to-commit",)),
    "waive": (_roster, _waive, ()),
    "waive-revoke": (_waived, _revoke, ("malformed-waiver",)),
    "commit-signed": (_roster, lambda r: r.commit("signed", sign=True, allow_empty=True), ()),
    "undo-run": (_pending, _undo("run"), ()),
    "undo-source": (_grown, _undo("source add"), ("concurrent-change",)),
    "undo-commit-runs": (_committed, _undo("commit"), ("concurrent-change",)),
}
"""What comes before, the command, and the codes of errors that say that it was done already."""
