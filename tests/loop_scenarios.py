"""The verbs on evaluations, defects, repairs and releases, each before something that faults are tried on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence

from dsvc.porcelain.records.defect_chain import defect_states
from dsvc.porcelain.records.feedback_chain import feedback_head, feedback_ids, observations, unresolved
from dsvc.porcelain.records.release_chain import facts_of, releases
from dsvc.porcelain.records.repair_chain import repairs
from dsvc.porcelain.records.request_chain import make_salt
from dsvc.porcelain.repository import Repository
from tests.faultkit import commit_all, open_in, write

Command = Callable[[Repository], object]
Prepare = Callable[[str], object]

_ROWS = [{"id": n, "text": f"文本 {n}", "label": n % 3} for n in range(12)]
_BAD = tuple(range(7))
_FIELDS = {
    "title": "评论",
    "acquisition": "self_generated",
    "legal_basis": "contract",
    "license_expression": "CC-BY-4.0",
    "rights_status": "clear",
    "contains_pi": "none",
    "rightsholders": ["某公司"],
    "synthetic": "no",
    "modality": ["text"],
}
_SETTINGS = b'[tables."*.jsonl"]\nkey = ["id"]\n'


def words(root: str) -> tuple[str, ...]:
    """All that is recorded of the loop, and where branches and tags are, without times; all of it is read."""
    repo = open_in(root)
    try:
        return tuple(_words(repo))
    finally:
        repo.backend.forget()


def _words(repo: Repository) -> list[str]:
    heads = repo.history.refs.list("refs/heads/")
    found = [f"{name} {repo.history.read_commit(tip).manifest.hex()}" for name, tip in sorted(heads.items())]
    found += sorted(repo.history.refs.list("refs/tags/"))
    for id_ in feedback_ids(repo):
        record = feedback_head(repo, id_).record
        seen = [each.pointer for each in observations(repo, id_)]
        lost = [each.pointer for each in unresolved(repo, id_)]
        found.append(f"feedback {id_} {record.suite} {seen} {lost}")
    for state in defect_states(repo):
        verbs = [step.operation.verb.value for step in state.history]
        rows = [each.count for each in state.rows]
        found.append(f"{state.id} {state.status.value} {rows} {state.feedbacks} {state.repairs} {verbs}")
    for repair in repairs(repo):
        # Steps that were done before a repair was interrupted are no part of what it comes to.
        done = [v for step in repair.history if (v := step.operation.verb.value) != "step"]
        found.append(f"{repair.id} {done} {repair.proof is not None}")
    for release in releases(repo):
        said = [step.operation.verb.value for step in release.history]
        files = () if release.created is None else [each.path for each in facts_of(repo, release).files]
        found.append(f"release {release.name} {release.status.value} {said} {files}")
    return found


def _table(rows: Sequence[Mapping[str, object]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _result(bad: Sequence[int], symptom: str = "wrong-label", extra: Sequence[int] = ()) -> bytes:
    lines: list[Mapping[str, object]] = [{"suite": "试点", "model": "m"}]
    for row in range(len(_ROWS)):
        wrong = row in bad
        verdict = {"symptom": symptom, "severity": "P2"} if wrong else {"passed": True}
        lines.append({"row": {"id": row}, "metric": "accuracy", "value": int(not wrong), **verdict})
    lines += [{"row": {"id": row}, "metric": "spelling", "value": 0, "symptom": "typo"} for row in extra]
    return _table(lines)


def _begun(root: str) -> Repository:
    Repository.init(root)
    repo = open_in(root)
    write(root, {b"a.jsonl": _table(_ROWS), b"dsvc.toml": _SETTINGS})
    commit_all(repo, "data")
    with repo.changing():
        make_salt(repo)
    write(root, {b"first.jsonl": _result(_BAD[:2]), b"next.jsonl": _result(_BAD, extra=[1, 9])})
    return repo


def _take(repo: Repository, name: str, subject: str = "a.jsonl") -> object:
    return repo.feedback_import(os.path.join(repo.root, name), subject=subject, suite=name)


def _found(root: str) -> Repository:
    repo = _begun(root)
    _take(repo, "first.jsonl")
    return open_in(root)


def _two(root: str) -> Repository:
    _take(_found(root), "next.jsonl")
    return open_in(root)


def _defect(repo: Repository, symptom: str = "wrong-label") -> str:
    return next(each.id for each in repo.defects() if each.symptom == symptom)


def _plan(repo: Repository) -> object:
    return repo.repair_plan(_defect(repo), values={"label": "9"})


def _planned(root: str) -> Repository:
    _plan(_two(root))
    return open_in(root)


def _apply(repo: Repository) -> None:
    _apply_to(repo, "wrong-label")


def _repaired(root: str) -> None:
    _apply(_planned(root))
    repo = open_in(root)
    (branch,) = repo.history.refs.list("refs/heads/repair/")
    write(root, {b"after.jsonl": _result([], extra=[9])})
    name = branch.removeprefix("refs/heads/")
    repo.feedback_import(os.path.join(root, "after.jsonl"), subject=f"{name}:a.jsonl", suite="next.jsonl")


def _verify(repo: Repository) -> object:
    (repair,) = repairs(repo)
    late = next(
        each for each in feedback_ids(repo) if feedback_head(repo, each).record.evidence == "after.jsonl"
    )
    return repo.repair_verify(repair.id, late)


def _released(root: str) -> Repository:
    Repository.init(root)
    repo = open_in(root)
    write(root, {b"raw.jsonl": _table(_ROWS[:4]), b"dsvc.toml": _SETTINGS})
    write(root, {b"collection_record": b"record\n", b"licence_text": b"CC-BY-4.0\n"})
    repo.add([b"raw.jsonl", b"dsvc.toml"])
    evidence = [f"{kind}={os.path.join(root, kind)}" for kind in ("collection_record", "licence_text")]
    repo.source_add("words", [b"raw.jsonl"], fields=_FIELDS, evidence=evidence)
    repo.commit("data")
    return open_in(root)


def _create(repo: Repository) -> object:
    return repo.release_create("v1", consumers=["某公司"])


def _out(root: str) -> None:
    _create(_released(root))


def _announce(repo: Repository) -> object:
    return repo.release_announce("v2", until="2999-01-01", reason="soon")


def _withdraw(repo: Repository) -> object:
    return repo.release_end("v1", "withdraw", "rights are gone")


def whole(root: str) -> None:
    """A release; after it a table that was evaluated, found bad and repaired, with another plan left."""
    _out(root)
    repo = open_in(root)
    write(root, {b"a.jsonl": _table(_ROWS), b"first.jsonl": _result([8], extra=[1, 9])})
    write(root, {b"next.jsonl": _result(_BAD, "mojibake"), b"after.jsonl": _result([])})
    repo.add([b"a.jsonl"])
    repo.commit("table", no_verify=True)
    _take(repo, "first.jsonl")
    _take(open_in(root), "next.jsonl")
    repo = open_in(root)
    repo.repair_plan(_defect(repo), drop=True)
    repo.repair_plan(_defect(repo, "mojibake"), values={"label": "9"})
    _apply_to(open_in(root), "mojibake", no_verify=True)


def _apply_to(repo: Repository, symptom: str, *, no_verify: bool = False) -> None:
    from dsvc.porcelain.runs.rerun import Carrier

    repair = next(each for each in repairs(repo) if each.plan.defect == _defect(repo, symptom))
    repo.repair_apply(repair.id, Carrier(environ={"PATH": "/usr/bin:/bin"}), no_verify=no_verify)


# name: (what comes before, the command, codes of errors that say that it was done already)
COMMANDS: dict[str, tuple[Prepare, Command, tuple[str, ...]]] = {
    "feedback-import": (_found, lambda repo: _take(repo, "next.jsonl"), ()),
    "defect-confirm": (_two, lambda repo: repo.defect_confirm(_defect(repo)), ("defect-step",)),
    "defect-join": (
        _two,
        lambda repo: repo.defect_join(_defect(repo), [_defect(repo, "typo")]),
        ("defect-step",),
    ),
    "repair-plan": (_two, _plan, ()),
    "repair-apply": (_planned, _apply, ()),
    "repair-verify": (_repaired, _verify, ("repair-state",)),
    "release-create": (_released, _create, ("release-name-taken",)),
    "release-announce": (_released, _announce, ()),
    "release-withdraw": (_out, _withdraw, ("release-state",)),
}
