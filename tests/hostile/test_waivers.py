"""Waivers that somebody made up: whatever is wrong with one, it counts for nothing, and is named."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from blake3 import blake3

from dsvc.history.refs import RefChange
from dsvc.lineage.source_tree import store_part
from dsvc.lineage.validation import Outcome, Severity, Violation
from dsvc.model.errors import DsvcError
from dsvc.model.ids import CommitId
from dsvc.model.waiver import NAMESPACE, Waiver, decode_waiver, encode_waiver, waiver_id
from dsvc.policy.waivers import Standing, read_waiver
from dsvc.porcelain.policy import waivers
from dsvc.porcelain.policy.judged_version import judged_version
from dsvc.porcelain.policy.waivers import apply_waivers
from dsvc.porcelain.records.waiver_chain import WAIVER_REFS
from dsvc.porcelain.state.moment import now
from dsvc.store.manifest_tree import EMPTY_ROOT
from tests.porcelain.working import Work
from tests.signkit import person, sign

OFFICER, ANN = person("officer@example.org"), person("ann@example.org")
PATH = b"a.csv"
Parts = dict[bytes, bytes]


class Forger:
    """A repository with a roster and two files, and the means to write any ref."""

    def __init__(self, folder: Path) -> None:
        self.work = Work(folder)
        self.work.commit(
            "roster", {b"dsvc.toml": f"[roles]\ncompliance_officer = ['{OFFICER.line}']\n".encode()}
        )
        self.work.commit("data", {PATH: b"id\n1\n", b"b.csv": b"id\n2\n"})

    def waiver(self, subject: bytes = PATH, **other: str) -> Waiver:
        digest = waivers.subject_digest(self.work.repo, judged_version(self.work.repo), subject)
        made = Waiver(
            rule="SRC-01",
            subject=subject,
            digest=digest.hex(),
            reason="一",
            until="2999-12-31",
            made_at="2026-11-22T08:00:00Z",
            by="Officer <officer@example.org>",
            key=OFFICER.key.public.fingerprint,
        )
        return msgspec.structs.replace(made, **other)

    def plant(self, parts: Parts, name: str | None = None) -> CommitId:
        """Write a ref as no verb of dsvc would."""
        repo = self.work.repo
        entries = [
            (path, msgspec.structs.replace(store_part(repo.store, data), path=path))
            for path, data in sorted(parts.items())
        ]
        root = repo.manifest(EMPTY_ROOT).update(entries)
        repo.store.publish()
        who = repo.signature()
        made = repo.history.commit(
            parents=[], manifest=root, files=len(parts), bytes=0, message="x", author=who, committer=who
        )
        ref = WAIVER_REFS + (name or waiver_id(parts.get(b"waiver", b"")))
        repo.record(
            "waive", changes=[RefChange(ref, repo.history.refs.get(ref), made.id)], objects=made.objects
        )
        return made.id

    def ask(self) -> list[Standing]:
        """What the waivers are worth to both files; none of them may be waived unless one counts."""
        repo = self.work.repo
        version = judged_version(repo)
        found = []
        for path in (PATH, b"b.csv"):
            digest = waivers.subject_digest(repo, version, path)
            found.append(Violation("SRC-01", Severity.BLOCKING, path, "x", None, "", Outcome.FAIL, digest))
        applied = apply_waivers(repo, version, found, now().day)
        listed = {use.id: use.standing for use in waivers.list_waivers(repo, now().day)}
        for use in applied.uses:
            assert (listed[use.id] is Standing.COUNTS) == (use.standing is Standing.COUNTS)
        waived = [each.subject for each in applied.violations if each.waiver is not None]
        assert waived == [use.subject for use in applied.uses if use.standing is Standing.COUNTS]
        return [use.standing for use in applied.uses]


def signed(waiver: Waiver, by: bytes = OFFICER.private, namespace: str = NAMESPACE) -> Parts:
    statement = encode_waiver(waiver)
    return {b"waiver": statement, b"signature": sign(statement, by, namespace)}


@pytest.fixture
def forger(tmp_path: Path) -> Forger:
    return Forger(tmp_path / "仓库")


def test_a_true_one_counts(forger: Forger) -> None:
    forger.plant(signed(forger.waiver()))
    assert forger.ask() == [Standing.COUNTS]


@pytest.mark.parametrize(
    ("forge", "worth"),
    [
        (lambda f: signed(f.waiver(), by=ANN.private), Standing.FORGED),
        (lambda f: signed(f.waiver(key=ANN.key.public.fingerprint), by=ANN.private), Standing.NOT_ON_ROSTER),
        (lambda f: signed(f.waiver(), namespace="git"), Standing.FORGED),
        (lambda f: signed(f.waiver(), namespace="file"), Standing.FORGED),
        (lambda f: {b"waiver": encode_waiver(f.waiver())}, Standing.UNSIGNED),
        (lambda f: {**signed(f.waiver()), b"signature": b""}, Standing.MALFORMED),
        (lambda f: {**signed(f.waiver()), b"signature": b"x" * 40_000}, Standing.MALFORMED),
        (lambda f: {**signed(f.waiver()), b"more": b"x"}, Standing.MALFORMED),
        (lambda f: {**signed(f.waiver()), b"revocation": b"{}"}, Standing.MALFORMED),
        (lambda f: signed(f.waiver(until="2020-01-01")), Standing.EXPIRED),
        (lambda f: signed(f.waiver(made_at="2998-01-01T00:00:00Z")), Standing.NOT_YET),
        (lambda f: signed(f.waiver(digest="0" * 64)), Standing.OTHER_SUBJECT),
        # The statement of one with the signature of another: of its subject, its end, its reason.
        (
            lambda f: {**signed(f.waiver(b"b.csv")), b"signature": signed(f.waiver())[b"signature"]},
            Standing.FORGED,
        ),
        (
            lambda f: {
                **signed(f.waiver(until="2999-12-30")),
                b"signature": signed(f.waiver())[b"signature"],
            },
            Standing.FORGED,
        ),
        (
            lambda f: {
                **signed(f.waiver()),
                b"waiver": signed(f.waiver())[b"waiver"].replace("一".encode(), b"x"),
            },
            Standing.FORGED,
        ),
    ],
)
def test_h60_forged(forger: Forger, forge: Callable[[Forger], Parts], worth: Standing) -> None:
    forger.plant(forge(forger))
    assert forger.ask() == [worth]


def test_h60_one_waiver_under_two_names(forger: Forger) -> None:
    parts = signed(forger.waiver())
    forger.plant(parts)
    for name in ("0" * 12, "x/y", waiver_id(parts[b"waiver"]) + "0"):
        forger.plant(parts, name)
    assert sorted(forger.ask()) == [Standing.COUNTS, *[Standing.MALFORMED] * 3]


def test_a_rule_that_is_none_is_waived_by_nothing(forger: Forger) -> None:
    for rule in ("ROLES", "POLICY", "SRC-99"):
        forger.plant(signed(forger.waiver(rule=rule)))
    listed = waivers.list_waivers(forger.work.repo, now().day)
    assert {use.standing for use in listed} == {Standing.UNKNOWN_RULE}
    assert forger.ask() == []


def test_h23_h60_refs_that_hold_no_waiver(forger: Forger) -> None:
    repo = forger.work.repo
    head = repo.history.refs.head().commit
    assert head is not None
    tag = repo.history.annotated_tag(name="t", target=head, message="t", tagger=repo.signature())
    changes = [
        RefChange(WAIVER_REFS + "0" * 12, None, head),
        RefChange(WAIVER_REFS + "1" * 12, None, tag.id),
    ]
    repo.record("waive", changes=changes, objects=tag.objects)
    forger.plant({}, "2" * 12)
    assert forger.ask() == [Standing.MALFORMED] * 3
    assert repo.fsck().ok


def test_bytes_that_are_gone_leave_the_waiver_untold(forger: Forger) -> None:
    commit = forger.plant(signed(forger.waiver()))
    path = forger.work.folder / ".dsvc/git/objects" / commit[:2] / commit[2:]
    path.chmod(0o600)
    path.write_bytes(b"")
    forger.work.reopen()
    with pytest.raises(DsvcError):
        forger.work.repo.history.read_commit(commit)
    assert set(forger.ask()) <= {Standing.UNTOLD, Standing.MALFORMED}


def test_h60_h61_no_byte_of_a_statement_can_be_changed() -> None:
    digest = blake3(b"x").hexdigest()
    key = OFFICER.key.public.fingerprint
    waiver = Waiver(
        rule="SRC-01",
        subject="数据.csv".encode(),
        digest=digest,
        reason="r",
        until="2026-12-31",
        made_at="2026-11-22T08:00:00Z",
        by="b",
        key=key,
    )
    parts = signed(waiver)
    statement, signature = parts[b"waiver"], parts[b"signature"]
    assert read_waiver(waiver_id(statement), statement, signature).problem is None
    for at in range(len(statement)):
        for changed in (
            statement[:at] + bytes([statement[at] ^ 1]) + statement[at + 1 :],
            statement[:at],
            statement[:at] + b" " + statement[at:],
        ):
            found = read_waiver(waiver_id(changed), changed, signature)
            assert found.problem is not None
            assert found.problem.standing in (Standing.FORGED, Standing.MALFORMED)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": True},
        {"rule": "src-01"},
        {"rule": "SRC-01\n"},
        {"digest": "AB" * 32},
        {"digest": ""},
        {"subject": None},
        {"subject": "a\0b"},
        {"subject_b64": "YQ=="},
        {"subject": None, "subject_b64": "YQ=="},  # it is UTF-8, and has to be written as text
        {"subject": None, "subject_b64": "!!!"},
        {"until": "2026-02-30"},
        {"until": "2026-1-1"},
        {"until": "9999-99-99"},
        {"made_at": "2026-11-22T25:00:00Z"},
        {"made_at": "2026-11-22"},
        {"reason": ""},
        {"reason": "x" * 5000},
        {"reason": "\u001b[31m"},
        {"by": None},
        {"key": "MD5:aa"},
        {"more": 1},
    ],
)
def test_statements_that_are_none(change: dict[str, object]) -> None:
    plain = {
        "by": "b",
        "digest": "0" * 64,
        "format": 1,
        "key": OFFICER.key.public.fingerprint,
        "made_at": "2026-11-22T08:00:00Z",
        "reason": "r",
        "rule": "SRC-01",
        "subject": "a",
        "subject_b64": None,
        "until": "2026-12-31",
    }

    def text(fields: dict[str, object]) -> bytes:
        return json.dumps(dict(sorted(fields.items())), separators=(",", ":")).encode() + b"\n"

    assert encode_waiver(decode_waiver(text(plain))) == text(plain)
    with pytest.raises(DsvcError) as caught:
        decode_waiver(text({**plain, **change}))
    assert caught.value.exit_code in (41, 12)
    assert read_waiver("0" * 12, text({**plain, **change}), b"").problem is not None


def test_names_that_are_no_text(forger: Forger) -> None:
    path = "名".encode() + b"\xff.csv"
    forger.work.commit("more", {path: b"id\n3\n"})
    waiver = forger.waiver(path)
    assert decode_waiver(encode_waiver(waiver)) == waiver
    forger.plant(signed(waiver))
    assert waivers.list_waivers(forger.work.repo, now().day)[0].standing is Standing.COUNTS


def test_without_the_packages_that_check_nothing_counts(
    forger: Forger, monkeypatch: pytest.MonkeyPatch
) -> None:
    forger.plant(signed(forger.waiver()))
    repo = forger.work.repo
    key = OFFICER.save(forger.work.folder.parent)
    repo.config.set("user.signingKey", str(key))
    forger.work.write({b"dsvc.toml": f"[roles]\ncompliance_officer = ['{ANN.line}']\n".encode()})
    repo.add([b"dsvc.toml"])
    repo.commit("a change with a signature", sign=True)
    for name in list(sys.modules):
        if name.split(".")[0] in ("sshsig", "cryptography"):
            monkeypatch.setitem(sys.modules, name, None)
    assert forger.ask() == [Standing.UNTOLD]
    wrong = apply_waivers(repo, judged_version(repo), [], now().day).violations
    assert [(each.rule, each.outcome, each.exit_code) for each in wrong] == [
        ("ROLES", Outcome.INCOMPLETE, 21)
    ]
