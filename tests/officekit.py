"""A repository with an author and officers, and the keys of everybody."""

from __future__ import annotations

from pathlib import Path

from dsvc.lineage.validation import Outcome, Severity, Violation
from dsvc.model.ids import CommitId
from dsvc.policy.waivers import Standing
from dsvc.porcelain.policy import waivers
from dsvc.porcelain.policy.judged_version import judged_version
from dsvc.porcelain.policy.waivers import AppliedWaivers, WaiverUse, apply_waivers
from tests.porcelain.working import Work
from tests.signkit import Person, person

DAY = "2026-11-22"
FIELDS = {
    "title": "一",
    "acquisition": "self_generated",
    "legal_basis": "contract",
    "license_expression": "CC-BY-4.0",
}
ANN, OFFICER, OTHER = (person(f"{name}@example.org") for name in ("ann", "officer", "other"))


def roles(*officers: Person, **others: Person) -> bytes:
    lines = ["[roles]", f"compliance_officer = {[each.line for each in officers]!r}"]
    lines += [f"{role} = [{who.line!r}]" for role, who in others.items()]
    return "\n".join(lines).encode()


class Office:
    """A repository whose author is Ann, and the keys of everybody."""

    def __init__(self, work: Work, folder: Path) -> None:
        self.work = work
        self.folder = folder
        self.saved: dict[str, str] = {}

    def key(self, who: Person) -> str:
        return self.saved.setdefault(who.email, str(who.save(self.folder, who.email)))

    def save(self, by: Person = ANN, signed: bool = False, **files: bytes | None) -> CommitId:
        repo = self.work.repo
        self.work.write({_path(name): data for name, data in files.items()})
        repo.add([], all=True)
        repo.config.set("user.email", by.email)
        repo.config.set("user.signingKey", self.key(by))
        commit = repo.commit("数据", sign=signed, allow_empty=True).commit
        repo.config.set("user.email", ANN.email)
        return commit

    def waive(self, by: Person = OFFICER, subject: bytes = b"a.csv", **more: str) -> WaiverUse:
        given = {"rule": "SRC-01", "reason": "合同在途", "until": "2026-12-31", **more}
        return waivers.make_waiver(
            self.work.repo,
            given["rule"],
            subject,
            reason=given["reason"],
            until=given["until"],
            day=given.get("day", today()),
            key=self.key(by),
        )

    def ask(
        self, subject: bytes = b"a.csv", rule: str = "SRC-01", day: str | None = None, **where: str
    ) -> AppliedWaivers:
        repo = self.work.repo
        version = judged_version(repo, where.get("rev"), target=where.get("target"))
        digest = waivers.subject_digest(repo, version, subject)
        return apply_waivers(repo, version, [violation(subject, digest, rule)], day or today())

    def standing(self, subject: bytes = b"a.csv", **where: str) -> Standing | None:
        """What the only waiver of a subject is worth; None where there is none."""
        found = self.ask(subject, **where)
        worth = [use.standing for use in found.uses]
        assert len(worth) < 2
        waived = found.violations[0].waiver is not None
        assert waived == (worth == [Standing.COUNTS]) == (not found.violations[0].blocks)
        return worth[0] if worth else None


def _path(name: str) -> bytes:
    return {"toml": b"dsvc.toml"}.get(name, f"{name}.csv".encode())


def today() -> str:
    from dsvc.porcelain.state.moment import now

    return now().day


def violation(subject: bytes, digest: bytes, rule: str = "SRC-01") -> Violation:
    return Violation(rule, Severity.BLOCKING, subject, "it has no source", None, "S4", Outcome.FAIL, digest)
