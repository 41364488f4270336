"""The gate over evaluations, defects and releases: what is open blocks, what can't be read never passes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from dsvc.lineage.validation import Gate, Outcome, Violation
from dsvc.model.errors import BlockingDefectError
from dsvc.model.ids import CommitId
from dsvc.model.release import ReleaseOperation, ReleaseVerb
from dsvc.policy.waivers import Standing
from dsvc.porcelain.feedback.feedback_import import FeedbackImport
from dsvc.porcelain.policy.check import check
from dsvc.porcelain.policy.recorded_verdict import recorded_verdict
from dsvc.porcelain.policy.verdict import CheckResult
from dsvc.porcelain.policy.waivers import WaiverRefusedError
from dsvc.porcelain.records import release_chain
from tests.feedbackkit import ROWS
from tests.officekit import ANN, FIELDS, OFFICER, Office, roles
from tests.porcelain.working import Work
from tests.verifykit import RepairLab

PACK = """id = "own"
version = "1"
date = "2026-01-01"
title = {{ en = "Own", zh = "Own" }}

[rules.{rule}]
severity = "blocking"
stage = "{stage}"
clause = "1"
"""
KINDS = ("training", "finetuning", "inference")


class Pilot:
    """A repository with one table that has a source, and with officers; and evaluations of the table."""

    def __init__(self, work: Work, folder: Path) -> None:
        self.office = Office(work, folder)
        self.work, self.repo, self.folder = work, work.repo, folder
        self.policy("PIL-02", "commit")
        self.table(20)
        self.repo.add([], all=True)
        self.repo.source_add("web", [b"a.csv"], fields=FIELDS | {"ongoing": "true"}, evidence=self.evidence())
        self.save()

    def evidence(self) -> list[str]:
        at = self.folder / "record.txt"
        at.write_text("collected")
        return [f"collection_record={at}"]

    def policy(self, rule: str, stage: str) -> None:
        pack = PACK.format(rule=rule, stage=stage).encode()
        own = b'[policy]\npacks = ["own.toml"]\n' + roles(OFFICER)
        self.work.write({b"own.toml": pack, b"dsvc.toml": own})

    def table(self, rows: int, text: str = "好", at: bytes = b"a.csv") -> None:
        lines = ["id,text,label", *(f"{n},{text}{n},{n % 2}" for n in range(rows))]
        self.work.write({at: ("\n".join(lines) + "\n").encode()})

    def save(self, *, no_verify: bool = True) -> str:
        self.repo.add([], all=True)
        return str(self.repo.commit("数据", no_verify=no_verify, allow_empty=True).commit)

    def take(self, *lines: Mapping[str, object], **options: object) -> FeedbackImport:
        at = self.folder / "run.jsonl"
        at.write_text("".join(json.dumps(each) + "\n" for each in lines))
        given = {"subject": "a.csv", "suite": "客服", **options}
        return self.repo.feedback_import(str(at), **given)  # type: ignore[arg-type]

    def defect(self, severity: str = "P1", rows: tuple[int, ...] = (3, 4)) -> str:
        found = self.take(*({"position": n, "symptom": "wrong-label", "severity": severity} for n in rows))
        return found.defects[0]

    def check(self, gate: Gate = Gate.RELEASE, **more: object) -> CheckResult:
        return check(self.repo, more.pop("rev", None), gate=gate, **more)  # type: ignore[arg-type]

    def found(self, rule: str, **more: object) -> list[Violation]:
        return [each for each in self.check(**more).violations if each.rule == rule]  # type: ignore[arg-type]


@pytest.fixture
def pilot(work: Work, tmp_path: Path) -> Iterator[Pilot]:
    return Pilot(work, tmp_path)


def test_an_open_blocking_defect_is_23(pilot: Pilot) -> None:
    pilot.defect("P2")
    for gate in Gate:
        assert pilot.check(gate).outcome is Outcome.PASS
    id_ = pilot.defect("P1", (7,))
    for gate in (Gate.PUSH, Gate.RELEASE):
        verdict = pilot.check(gate)
        (found,) = verdict.violations
        assert (found.subject, verdict.gate_exit_code) == (f"defect:{id_}".encode(), 23)
        assert "(a.csv)" in found.message
        assert found.sources == ("web",)


def test_a_commit_that_brings_flagged_rows_is_refused_and_one_on_top_of_them_is_not(pilot: Pilot) -> None:
    start = pilot.repo.history.refs.head().commit
    pilot.defect()
    pilot.table(22)
    pilot.save(no_verify=False)  # the version before had the defect: a warning
    pilot.work.branch("other", str(start))
    pilot.work.write({b"a.csv": None})
    pilot.save()
    pilot.table(20)
    with pytest.raises(BlockingDefectError) as caught:
        pilot.save(no_verify=False)
    assert caught.value.exit_code == 23
    assert [each["rule"] for each in caught.value.details["violations"]] == ["PIL-02"]  # type: ignore[attr-defined]


def test_rows_that_were_taken_out_by_hand_are_no_repair(pilot: Pilot) -> None:
    pilot.defect(rows=(19,))
    pilot.table(19)
    pilot.save()
    assert pilot.check().gate_exit_code == 23


def test_a_version_from_before_without_the_rows_has_no_part_in_a_defect(pilot: Pilot) -> None:
    pilot.work.branch("old")
    pilot.table(20, "另")
    old = pilot.save()
    pilot.repo.checkout("main")
    pilot.table(30)
    pilot.save()
    pilot.defect(rows=(25, 26))
    assert pilot.check().gate_exit_code == 23
    assert pilot.check(rev=old).outcome is Outcome.PASS
    # Another copy of the flagged content counts, wherever it stands.
    pilot.work.branch("copied", old)
    pilot.table(30, at=b"b.csv")
    pilot.repo.add([], all=True)
    pilot.repo.source_add("more", [b"b.csv"], fields=FIELDS, evidence=pilot.evidence())
    pilot.save()
    assert pilot.check().gate_exit_code == 23


def test_rejecting_takes_a_waiver_of_somebody_else_that_ends_when_the_defect_changes(pilot: Pilot) -> None:
    office, repo = pilot.office, pilot.repo
    id_ = pilot.defect()
    subject = f"defect:{id_}".encode()
    repo.defect_reject(id_, "rows are right")
    (found,) = pilot.found("PIL-02")
    assert "rejected" in found.message
    assert pilot.check().gate_exit_code == 23
    with pytest.raises(WaiverRefusedError):
        office.waive(ANN, subject, rule="PIL-02")
    made = office.waive(OFFICER, subject[:13], rule="PIL-02")  # the id may be cut
    assert (made.subject, made.standing) == (subject, Standing.COUNTS)
    verdict = pilot.check()
    assert (verdict.outcome, verdict.gate_exit_code) == (Outcome.PASS, 0)
    assert [(use.id, use.standing) for use in verdict.waivers] == [(made.id, Standing.COUNTS)]
    assert [each.waiver for each in verdict.violations] == [made.id]
    repo.defect_comment(id_, "nothing changes by this")
    assert pilot.check().outcome is Outcome.PASS
    repo.defect_reopen(id_, "they are wrong after all")
    assert pilot.check().gate_exit_code == 23
    repo.defect_grade(id_, "P3", "not that bad")
    assert "graded P3" in pilot.found("PIL-02")[0].message
    assert pilot.check().gate_exit_code == 23
    office.waive(OFFICER, subject, rule="PIL-02")
    assert pilot.check().outcome is Outcome.PASS
    pilot.take({"position": 3, "symptom": "wrong-label"}, {"position": 9, "symptom": "wrong-label"})
    assert pilot.check().gate_exit_code == 23


def test_who_rejected_a_defect_or_touched_its_table_does_not_waive_it(pilot: Pilot) -> None:
    office, repo = pilot.office, pilot.repo
    id_ = pilot.defect()
    subject = f"defect:{id_}".encode()
    repo.config.set("user.email", OFFICER.email)
    repo.defect_reject(id_, "rows are right")
    repo.config.set("user.email", ANN.email)
    with pytest.raises(WaiverRefusedError, match=r"officer@example\.org"):
        office.waive(OFFICER, subject, rule="PIL-02")


def test_as_of_a_time_only_what_was_known_then_counts(pilot: Pilot, monkeypatch: pytest.MonkeyPatch) -> None:
    head = pilot.repo.history.refs.head().commit
    assert head is not None
    then = pilot.repo.history.read_commit(head).committer.rfc3339()
    monkeypatch.setattr("dsvc.porcelain.state.workspace.time.time", lambda: 4_000_000_000.0)
    id_ = pilot.defect()
    assert pilot.check(as_of=then).outcome is Outcome.PASS
    assert [each.rule for each in pilot.check(as_of="2096-10-03").violations] == ["PIL-02"]
    monkeypatch.setattr("dsvc.porcelain.state.workspace.time.time", lambda: 4_000_000_100.0)
    pilot.repo.defect_reject(id_, "rows are right")
    (now,) = pilot.found("PIL-02", as_of="2096-10-02T07:10:00Z")
    (before,) = pilot.found("PIL-02", as_of="2096-10-02T07:06:45Z")
    assert ("rejected" in now.message, "is open" in before.message) == (True, True)


def test_a_defect_that_cannot_be_read_or_is_gone_is_unknown(pilot: Pilot) -> None:
    id_ = pilot.defect()
    ref = f"refs/dsvc/defects/{id_}"
    refs = pilot.repo.history.refs
    tip, head = refs.get(ref), refs.head().commit
    assert tip is not None
    for wrong in (head, None):
        _move(pilot, ref, wrong)
        verdict = pilot.check()
        assert {each.outcome for each in verdict.violations if each.rule == "PIL-02"} == {Outcome.INCOMPLETE}
        assert verdict.gate_exit_code == 21
    _move(pilot, ref, tip)
    assert pilot.check().gate_exit_code == 23


def _move(pilot: Pilot, ref: str, to: str | None) -> None:
    """Move a ref as somebody would who goes past dsvc."""
    at = Path(pilot.repo.layout.git) / ref
    if to is None:
        at.unlink()
    else:
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text(f"{to}\n")
    pilot.work.reopen()
    pilot.repo = pilot.work.repo


def test_only_a_verified_repair_closes_a_defect_and_bringing_rows_back_opens_it(tmp_path: Path) -> None:
    lab = RepairLab(tmp_path)
    found = str(lab.repo.history.refs.head().commit)

    def said(rev: str | None = None) -> list[tuple[Outcome, str]]:
        verdict = check(lab.repo, rev, gate=Gate.RELEASE)
        return [(each.outcome, each.message) for each in verdict.violations if each.rule == "PIL-02"]

    assert said() == []
    lab.find()
    assert "open" in said()[0][1]
    repair = lab.repair()
    assert "repairing" in said()[0][1]
    assert lab.verify(repair, lab.evaluate()).is_verified
    assert said() == []
    # A version from before the repair still has the rows, and so has one that brings two of them back.
    assert "8 rows are as before" in said(found)[0][1]
    lab.rows = [*ROWS[:2], *lab.rows[2:]]
    lab.write("a.jsonl", lab.rows)
    lab.commit("merged the wrong way")
    ((outcome, message),) = said()
    assert outcome is Outcome.FAIL
    assert "2 rows are as before" in message
    lab.set_label()
    lab.rows.append({"id": 99, "text": "新", "label": 1})
    lab.write("a.jsonl", lab.rows)
    lab.commit("mended, and more")
    assert said() == []


# Evaluations


def test_three_evaluations_of_this_version_that_passed(pilot: Pilot) -> None:
    pilot.policy("PIL-01", "release")
    pilot.save()
    for number, kind in enumerate(KINDS):
        assert len(pilot.found("PIL-01")) == len(KINDS) - number
        pilot.take({"passed": True, "position": number}, kind=kind)
    assert pilot.check().outcome is Outcome.PASS
    pilot.table(21)
    pilot.save()
    assert {each.outcome for each in pilot.found("PIL-01")} == {Outcome.INCOMPLETE}


def test_what_an_evaluation_found_decides_where_its_tool_does_not(pilot: Pilot) -> None:
    pilot.policy("PIL-01", "release")
    pilot.save()
    for number, kind in enumerate(KINDS[:2]):
        pilot.take({"passed": True, "position": number}, kind=kind)
    # What is no P1 doesn't fail it; a P1 does, until that is closed.
    pilot.take({"position": 3, "symptom": "wrong-label"}, kind="inference")
    assert pilot.found("PIL-01") == []
    lines = [{"position": 4, "symptom": "leak", "severity": "P1"}]
    id_ = pilot.take(*lines, kind="inference").defects[0]
    assert [each.outcome for each in pilot.found("PIL-01")] == [Outcome.FAIL]
    pilot.repo.defect_reject(id_, "no leak")
    assert pilot.found("PIL-01") == []
    lost = {"position": 99, "symptom": "leak", "severity": "P1"}
    pilot.take({"position": 5, "symptom": "odd"}, lost, kind="inference")
    assert [each.outcome for each in pilot.found("PIL-01")] == [Outcome.INCOMPLETE]


def test_an_evaluation_that_cannot_be_read_is_unknown(pilot: Pilot) -> None:
    pilot.policy("PIL-01", "release")
    pilot.save()
    for number, kind in enumerate(KINDS):
        made = pilot.take({"passed": True, "position": number}, kind=kind)
    _move(pilot, f"refs/dsvc/feedback/{made.feedback}", pilot.repo.history.refs.head().commit)
    assert pilot.check().gate_exit_code == 21


# Releases


def release(pilot: Pilot, name: str, verb: ReleaseVerb, **fields: object) -> None:
    repo = pilot.repo
    operation = ReleaseOperation(verb=verb, at=repo.signature().rfc3339(), by="Ann", **fields)  # type: ignore[arg-type]
    with repo.changing():
        before = release_chain.find_release(repo, name)
        prepared, change = release_chain.prepare_release(repo, name, before, operation)
        repo.store.publish()
        repo.record("release", arguments=[name], changes=[change], objects=prepared.objects)


def measured(pilot: Pilot, right: int, suite: str = "意图") -> None:
    """Import an evaluation that states which share of 200 samples was right."""
    metric = {"name": "accuracy", "value": right / 200, "n": 200}
    pilot.take({"metrics": [metric]}, suite=suite)


def test_quality_is_held_against_the_release_before(pilot: Pilot) -> None:
    pilot.policy("QTY-01", "release")
    metrics = [f"{name}=0.99" for name in ("precision", "consistency", "timeliness", "completeness")]
    pilot.repo.source_set("web", fields={"metrics": [*metrics, "neutrality=0.99"]})
    first = pilot.save()
    measured(pilot, 180)
    assert pilot.found("QTY-01") == []
    release(pilot, "v1", ReleaseVerb.CREATE, commit=first)
    assert pilot.found("QTY-01") == []  # the release itself is not compared with itself
    pilot.table(21)
    pilot.save()
    (unknown,) = pilot.found("QTY-01")
    assert unknown.outcome is Outcome.INCOMPLETE
    measured(pilot, 120)
    (worse,) = pilot.found("QTY-01")
    assert worse.outcome is Outcome.FAIL
    assert "accuracy" in worse.message
    assert "release v1 was 0.9 and is 0.6 now" in worse.message
    pilot.table(22)
    pilot.save()
    measured(pilot, 178)  # no more than chance
    assert pilot.found("QTY-01") == []
    assert pilot.found("QTY-01", rev=first) == []


def test_the_window_of_an_announced_release(pilot: Pilot) -> None:
    pilot.policy("REL-01", "release")
    pilot.repo.source_set("web", fields={"objection_window": "2026-01-01..2026-01-31"})
    pilot.save()
    assert pilot.found("REL-01") == []
    release(pilot, "v1", ReleaseVerb.ANNOUNCE, until="2999-01-01")
    (found,) = pilot.found("REL-01")
    assert found.outcome is Outcome.FAIL
    assert "v1" in found.message
    assert pilot.found("REL-01", release="v2") == []
    assert len(pilot.found("REL-01", release="v1")) == 1
    assert pilot.found("REL-01", as_of="2999-01-02") == []
    release(pilot, "v1", ReleaseVerb.WITHDRAW, reason="not now")
    assert pilot.found("REL-01") == []


def test_a_commit_says_by_which_verdict_it_was_let_in(pilot: Pilot) -> None:
    pilot.work.write({b"README.md": "数据".encode()})
    pilot.repo.add([], all=True)
    staged = pilot.check(Gate.COMMIT, staged=True)
    commit = pilot.repo.history.read_commit(CommitId(pilot.save(no_verify=False)))
    assert recorded_verdict(commit.trailers) == (Outcome.PASS, staged.digest)
    assert recorded_verdict([*commit.trailers, ("Dsvc-Verdict", f"PASS blake3:{'0' * 64}")]) is None
    pilot.table(22)
    unasked = pilot.repo.history.read_commit(CommitId(pilot.save()))
    assert recorded_verdict(unasked.trailers) is None
