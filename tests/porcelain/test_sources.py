"""Sources: what they attest, how they change, and that nothing is half recorded."""

from __future__ import annotations

import os
from pathlib import Path

import blake3
import msgspec
import pytest

from dsvc.lineage.evidence import EvidenceError, EvidenceOption
from dsvc.lineage.source_document import parse_toml, render_toml
from dsvc.lineage.source_values import SourceFieldError
from dsvc.model.errors import ConcurrentChangeError, MalformedInputError, NotFoundError, UsageError
from dsvc.model.ids import CommitId
from dsvc.model.source_operation import SourceOperation, SourceVerb
from dsvc.model.source_record import Coverage, SourceRecord, Status
from dsvc.porcelain.records import source_chain
from dsvc.porcelain.records.source_chain import NoSuchSourceError, State
from dsvc.porcelain.sources.sources import SourceExistsError, SourceWithdrawnError
from tests.porcelain.sourcing import BASIC, TABLE, add, rows, tree
from tests.porcelain.working import EMPTY_FOLDER, Work, link, text


def files(work: Work, source_id: str = "网页-2024") -> dict[bytes, bytes]:
    return {entry.path: entry.digest for entry in tree(work, source_id).files.entries()}


def hashed(**contents: bytes) -> dict[bytes, bytes]:
    return {name.replace("__", "/").encode(): blake3.blake3(data).digest() for name, data in contents.items()}


@pytest.fixture
def raw(work: Work) -> Work:
    """Tracked, changed, deleted, untracked and foreign files."""
    work.commit("data", {b"raw/a": b"1", b"raw/gone": b"2", b"raw/changed": b"3", b"other": b"4"})
    work.write({b"raw/gone": None, b"raw/changed": b"33", "raw/新/文件".encode(): "新".encode()})
    return work


def test_a_source_attests_the_files_there_now(raw: Work) -> None:
    before = raw.staged_state()
    made = add(raw)
    assert files(raw) == hashed(raw__a=b"1", raw__changed=b"33") | {
        "raw/新/文件".encode(): blake3.blake3("新".encode()).digest()
    }
    assert (made.files, made.bytes, made.records, made.changed) == (3, 6, None, True)
    assert made.record.covers == (Coverage(path=b"raw"),)
    assert made.record.attested_at.endswith("Z")
    assert raw.staged_state() == before  # attesting stages nothing
    assert raw.repo.fsck(read_data=True).defects == ()
    raw.write({b"raw/a": b"other"})
    assert files(raw)[b"raw/a"] == blake3.blake3(b"1").digest()


def test_attested_bytes_outlive_the_files_and_gc(raw: Work) -> None:
    add(raw)
    raw.write({b"raw/changed": None})
    raw.repo.gc(grace_seconds=0)
    entry = tree(raw).files.get(b"raw/changed")
    assert entry is not None
    assert raw.repo.store.get(entry.digest) == b"33"
    assert raw.repo.fsck(read_data=True).defects == ()


def test_update_attests_again_and_can_cover_other_paths(raw: Work) -> None:
    first = add(raw)
    raw.write({b"raw/a": b"5", b"raw/changed": None})
    again = raw.repo.source_update("网页-2024")
    assert files(raw)[b"raw/a"] == blake3.blake3(b"5").digest()
    assert b"raw/changed" not in files(raw)
    assert again.record.covers == first.record.covers
    raw.repo.source_update("网页-2024", [b"other", b"raw/a"])
    assert set(files(raw)) == {b"other", b"raw/a"}
    shown = raw.repo.source("网页-2024")
    assert [step.verb for step in shown.history] == ["update", "update", "add"]
    assert shown.history[0].changed == ("covers", "files")
    assert raw.repo.source("网页-2024", first.commit).files == 3


def test_the_whole_tree_links_and_sub_paths(work: Work) -> None:
    work.write({b"a": b"1", b"l": link(b"a"), b"d/e/f": b"2", b"empty": EMPTY_FOLDER})
    add(work, paths=[b"", b"d", b"d/e"])
    assert set(files(work)) == {b"a", b"l", b"d/e/f"}
    made = add(work, "空", [b"empty"])
    assert made.files == 0


def test_a_named_file_is_taken_though_it_is_ignored(work: Work) -> None:
    work.write({b".dsvcignore": b"*.tmp\n", b"raw/a.tmp": b"1", b"raw/b": b"2"})
    add(work)
    assert set(files(work)) == {b"raw/b"}
    add(work, "named", [b"raw/a.tmp"])
    assert set(files(work, "named")) == {b"raw/a.tmp"}


def test_what_sparse_patterns_leave_out_is_covered_as_it_is_tracked(raw: Work) -> None:
    raw.commit("more")
    raw.repo.checkout(sparse=["other"])
    add(raw)
    assert b"raw/a" in files(raw)


def test_unchanged_tracked_files_are_not_read(raw: Work) -> None:
    raw.commit("settled")
    path = raw.path(b"raw/a")
    stat = os.stat(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns - 10**10))
    raw.repo.status()
    raw.repo.store.put_bytes = 0
    add(raw)
    # Nothing but the record and the operation is new.
    assert raw.repo.store.put_bytes < 2000


@pytest.mark.parametrize("paths", [[b"nowhere"], [b"raw/gone"], [b"raw", b"raw/a/b"], [b"nowhere/below"]])
def test_a_path_that_is_not_there_records_nothing(raw: Work, paths: list[bytes]) -> None:
    before = raw.everything()
    with pytest.raises(NotFoundError) as caught:
        add(raw, paths=paths)
    assert caught.value.exit_code == 14
    assert raw.everything() == before
    assert raw.repo.sources() == []


def test_an_id_is_taken_once_and_looked_for_by_what_it_is_like(raw: Work) -> None:
    add(raw)
    with pytest.raises(SourceExistsError) as caught:
        add(raw)
    assert "dsvc source set" in (caught.value.hint or "")
    with pytest.raises(NoSuchSourceError) as missing:
        raw.repo.source("网页-2025")
    assert "网页-2024" in (missing.value.hint or "")
    for wrong in ("a/b", "", "..", "a.lock", "数" * 90, "-x", "a b"):
        with pytest.raises((UsageError, MalformedInputError)):
            add(raw, wrong)
    with pytest.raises(UsageError, match="covers nothing"):
        raw.repo.source_add("b", fields=BASIC)
    with pytest.raises(SourceFieldError, match="lacks legal_basis"):
        raw.repo.source_add("b", [b"raw"], fields={k: v for k, v in BASIC.items() if k != "legal_basis"})


# Fields and status


def test_fields_are_set_removed_and_remembered(raw: Work) -> None:
    add(raw, fields={"language": "zh,en", "ongoing": True})
    made = raw.repo.source_set("网页-2024", fields={"grade": "重要", "language": None, "title": "新题"})
    assert made.record.fields == {"grade": "important"}
    assert (made.record.title, made.record.ongoing, made.changed) == ("新题", True, True)
    assert files(raw)  # still attested
    same = raw.repo.source_set("网页-2024", fields={"grade": "important"})
    assert (same.changed, same.commit) == (False, made.commit)
    history = raw.repo.source("网页-2024").history
    assert (history[0].verb, history[0].changed) == ("set", ("grade", "language", "title"))
    assert history[0].author == "Ann <ann@example.org>"


def test_withdrawing_keeps_the_record_and_ends_the_rest(raw: Work) -> None:
    add(raw)
    made = raw.repo.source_withdraw("网页-2024", "权利人要求删除")
    assert (made.record.status, made.record.reason) == (Status.WITHDRAWN, "权利人要求删除")
    assert not made.record.in_force
    assert files(raw)
    assert raw.repo.source("网页-2024").history[0].reason == "权利人要求删除"
    for again in (
        lambda: raw.repo.source_withdraw("网页-2024", "twice"),
        lambda: raw.repo.source_update("网页-2024"),
    ):
        with pytest.raises(SourceWithdrawnError):
            again()
    with pytest.raises(SourceFieldError, match="stays so"):
        raw.repo.source_set("网页-2024", fields={"blacklisted": ""})
    with pytest.raises(UsageError, match="needs a reason"):
        add(raw, "b") and raw.repo.source_withdraw("b", " ")


def test_a_blacklist_is_an_operation_of_its_own(raw: Work) -> None:
    add(raw)
    made = raw.repo.source_set("网页-2024", fields={"blacklisted": "有害信息 6%"})
    assert (made.record.status, made.record.reason) == (Status.BLACKLISTED, "有害信息 6%")
    assert raw.repo.source("网页-2024").history[0].verb == "blacklist"
    assert raw.repo.source_set("网页-2024", fields={"blacklisted": None}).record.in_force


def test_every_operation_can_be_undone(raw: Work) -> None:
    states: list[SourceRecord | None] = [None]

    def now() -> SourceRecord | None:
        found = raw.reopen().sources()
        return found[0].record if found else None

    add(raw)
    for step in (
        lambda: raw.repo.source_set("网页-2024", fields={"grade": "core"}),
        lambda: raw.repo.source_update("网页-2024", [b"other"]),
        lambda: raw.repo.source_set("网页-2024", fields={"blacklisted": "x"}),
        lambda: raw.repo.source_withdraw("网页-2024", "y"),
    ):
        states.append(now())
        step()
    verbs = [operation.verb for operation in raw.repo.history.operations.list(5)]
    assert verbs == ["source withdraw", "source blacklist", "source update", "source set", "source add"]
    for state in reversed(states):
        raw.repo.undo()
        assert now() == state
    add(raw)
    assert now() is not None


def test_another_writer_in_between_is_told(raw: Work) -> None:
    add(raw)
    at = source_chain.head(raw.repo, "网页-2024")
    raw.repo.source_set("网页-2024", fields={"grade": "core"})
    operation = SourceOperation(verb=SourceVerb.SET, time="2026-01-01T00:00:00Z")
    with pytest.raises(ConcurrentChangeError):
        source_chain.append(raw.repo, State.of(at.tree), operation, [at.commit])
    assert tree(raw).record.fields == {"grade": "core"}


def test_a_commit_pins_what_it_saw(raw: Work) -> None:
    from dsvc.porcelain.state.commit_lineage import lineage_of

    add(raw)
    first = raw.commit("with a source")
    raw.repo.source_withdraw("网页-2024", "why")
    pinned = lineage_of(raw.repo, first).sources()["网页-2024"]
    assert pinned.record.in_force
    assert (
        lineage_of(raw.repo, raw.commit("later", {b"x": b"1"})).sources()["网页-2024"].record.reason == "why"
    )


# Documents


def test_a_record_goes_out_as_toml_and_comes_back_the_same(raw: Work, tmp_path: Path) -> None:
    raw.write({"许可 证.txt".encode(): "许可".encode(), b"t.csv": text(TABLE)})
    (tmp_path / "contract.pdf").write_bytes(b"%PDF")
    made = raw.repo.source_add(
        "甲",
        [b"t.csv"],
        where="n > 5 and src = '乙'",
        fields={
            **BASIC,
            "description": '多行\n"引号"\\',
            "language": "zh,en",
            "ongoing": True,
            "subject_count_estimate": "3",
            "cross_border.persons": "7",
            "pre_collection_assessment.harmful_rate": "0.04",
            "obtained_at": "2026-01-02T03:04:05+08:00",
        },
        evidence=[
            str(raw.folder / "许可 证.txt"),
            EvidenceOption(str(tmp_path / "contract.pdf"), "contract", "2025-01-01", "2027-01-01"),
        ],
    )
    written = render_toml(made.record)
    document = parse_toml(written.encode(), "甲.toml", str(tmp_path))
    assert not raw.repo.source_set("甲", document=document).changed
    raw.repo.undo()
    again = raw.repo.source_add("甲", document=document)
    assert msgspec.structs.replace(again.record, attested_at=made.record.attested_at) == made.record
    assert rows(raw, "甲", b"t.csv") == [1]
    (tmp_path / "contract.pdf").write_bytes(b"other")
    raw.repo.undo()
    with pytest.raises(EvidenceError, match="other evidence"):
        raw.repo.source_add("甲", document=document)


def test_a_document_that_covers_something_else_sets_nothing(raw: Work) -> None:
    made = add(raw)
    document = parse_toml(b'grade = "core"\n[[covers]]\npath = "other"\n', "x.toml", "/")
    with pytest.raises(UsageError, match="covers other paths"):
        raw.repo.source_set("网页-2024", document=document)
    assert raw.repo.source("网页-2024").commit == made.commit


@pytest.mark.parametrize(
    "text",
    [
        "grade = ",
        'covers = "raw"',
        "[[covers]]\npaths = 'raw'",
        "[[covers]]\npath = '/etc'",
        "[[covers]]\npath = 1",
        "[[evidence]]\ntype = 'contract'",
        "[[evidence]]\nfile = 'a'\ndigest = 'x'",
        "[[evidence]]\nfile = 'a'\ntype = 'proof of nothing'",
        "[[evidence]]\nfile = 'a'\nvalid_to = 'soon'",
        "a = " + "[" * 100_000,
        "colour = 'red'",
    ],
)
def test_a_document_that_says_something_else_is_refused(raw: Work, text: str) -> None:
    with pytest.raises(UsageError):
        add(raw, document=parse_toml(text.encode(), "x.toml", "/"))
    assert raw.repo.sources() == []


def test_a_status_travels_with_the_record(raw: Work) -> None:
    add(raw)
    raw.repo.source_withdraw("网页-2024", "why")
    document = parse_toml(render_toml(raw.repo.source("网页-2024").record).encode(), "x", "/")
    raw.repo.undo()
    raw.repo.undo()
    assert raw.repo.source_add("网页-2024", document=document).record.status is Status.WITHDRAWN


# Chains that went two ways


def fork(work: Work, base: CommitId, **fields: object) -> CommitId:
    """Go on from an older state, as another copy of the repository would."""
    from dsvc.history.refs import RefChange

    ref = source_chain.source_ref("网页-2024")
    now = work.repo.history.refs.get(ref)
    work.repo.record("source set", changes=[RefChange(ref, now, base)])
    made = work.repo.source_set("网页-2024", fields=fields).commit
    work.repo.record("source set", changes=[RefChange(ref, made, now)])
    return made


def test_two_heads_unite(raw: Work) -> None:
    base = add(raw, fields={"grade": "general", "issuer": "A"}).commit
    raw.repo.source_set("网页-2024", fields={"grade": "core", "language": "zh"})
    theirs = fork(raw, base, grade="important", issuer="B", withdrawn="why")
    source_chain.merge(raw.repo, "网页-2024", theirs)
    found = raw.repo.source("网页-2024")
    assert found.record.fields == {"issuer": "B", "language": ["zh"]}
    assert found.record.undetermined == ("grade",)
    assert found.record.status is Status.WITHDRAWN
    assert [step.verb for step in found.history] == ["merge", "withdraw", "set", "add"] or [
        step.verb for step in found.history
    ] == ["merge", "set", "withdraw", "add"]
    assert files(raw)
    assert source_chain.merge(raw.repo, "网页-2024", theirs).commit == found.commit
    assert raw.repo.source_set("网页-2024", fields={"grade": "core"}).record.undetermined == ()
    assert raw.repo.fsck(read_data=True).defects == ()
