"""request erase: a person goes from every stored byte, everybody else stays, history says what it lacks."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dsvc.lineage.run_tree import RunTree
from dsvc.model.errors import ErasedError, MalformedInputError, UsageError, WouldOverwriteError
from dsvc.model.rights_request import Reach, RequestState
from dsvc.porcelain.requests.erasure_chunks import SharedContentError
from dsvc.porcelain.requests.requests import RequestSettledError
from dsvc.store.absence import StillThereError, prove_absent
from tests.porcelain.people import COUNT, VALUE, WHO, holding, people
from tests.porcelain.working import Work


def places(found: object) -> set[tuple[bytes, int | None, Reach]]:
    return {(each.path, each.rows, each.reach) for each in found}  # type: ignore[attr-defined]


def test_a_person_goes_from_three_data_sets_and_seven_versions(peopled: Work) -> None:
    work = peopled
    repo = work.repo
    old = repo.history.revisions.resolve("HEAD~3")
    big = repo.manifest_of("HEAD~4").get(b"people.csv")
    assert big is not None
    assert big.chunks is not None, "a table of several chunks"
    repo.request_add("2026-1", "deletion", subjects=[WHO], ground="GDPR 17")
    record = repo.request_find("2026-1").record
    assert record.state is RequestState.FOUND
    found = places(record.found)
    assert {path for path, _, _ in found} == {b"people.csv", b"orders.csv", b"joined.csv", b"totals.csv"}
    assert (b"people.csv", 1, Reach.DIRECT) in found
    assert (b"orders.csv", 3, Reach.DIRECT) in found, "in the last version of three"
    assert (b"joined.csv", 2, Reach.DERIVED) in found
    assert (b"totals.csv", 1, Reach.DERIVED) in found, "the row of a city where nobody else lives"
    assert len(record.found) == 6

    before = (work.folder / "people.csv").read_text()
    done = repo.request_erase("2026-1", "asked for")
    assert done.changed
    assert done.record.state is RequestState.ERASED
    certificate = done.record.certificate
    assert certificate is not None
    assert certificate.chunks >= 5
    assert certificate.objects_read > 20
    assert certificate.tables_read >= 2
    assert "copies" in certificate.limits

    assert holding(work.folder) == []
    after = (work.folder / "people.csv").read_text()
    assert after == "".join(line for line in before.splitlines(True) if WHO not in line)
    assert WHO not in (work.folder / "orders.csv").read_text()
    assert (work.folder / "totals.csv").read_text().count("\n") == 4
    assert work.clean()

    fresh = work.reopen()
    checked = fresh.fsck(read_data=True)
    assert checked.ok
    assert checked.erased == certificate.chunks
    with pytest.raises(ErasedError), fresh.open_file(b"people.csv", str(old)) as file:
        file.read()
    with fresh.open_file(b"people.csv", str(old)) as file:
        file.seek(-5000, 2)
        assert file.read() == people(COUNT, "later")[-5000:], "other rows can be read"
    with fresh.open_file(b"people.csv", "HEAD~6") as file:
        assert VALUE.encode() not in file.read(), "a version before the person came is whole"
    kinds = {run.kind.value: run for tree in fresh.runs() for run in [RunTree(fresh.store, tree.id).run]}
    assert kinds["redact"].complete
    assert kinds["redact"].drops.keys() == {"erased"}

    again = fresh.request_erase("2026-1", "once more")
    assert not again.changed
    assert again.record.certificate == certificate
    fresh.gc(grace_seconds=0)
    checked = work.reopen().fsck(read_data=True)
    assert checked.ok
    assert checked.erased == certificate.chunks
    assert holding(work.folder) == []
    later = work.repo.request_find("2026-1").record
    assert set(record.found) <= set(later.found)
    assert not later.unsearched


def test_what_was_erased_is_not_added_again(peopled: Work) -> None:
    work = peopled
    work.repo.request_add("r", "deletion", subjects=[WHO])
    work.repo.request_erase("r", "asked for")
    work.write({b"people.csv": people(COUNT)})
    assert [each.path for each in work.repo.add(all=True).skipped] == [b"people.csv"]
    assert holding(work.folder / ".dsvc") == []


def test_trash_undone_and_uncommitted_copies_go_too(peopled: Work) -> None:
    work = peopled
    work.repo.gc()
    work.write({b"people.csv": people(COUNT, "staged once")})
    work.repo.add(all=True)
    work.repo.reset("HEAD")
    work.repo.restore([b"people.csv"])
    work.commit("dropped", {b"people.csv": people(COUNT, "dropped")})
    work.repo.undo()
    work.repo.restore([b"people.csv"], staged=True)
    work.repo.restore([b"people.csv"])
    work.repo.gc(grace_seconds=3600)
    assert holding(work.folder / ".dsvc")
    work.repo.request_add("r", "withdrawal", subjects=[WHO])
    work.repo.request_erase("r", "consent taken back")
    assert holding(work.folder) == []
    assert work.reopen().fsck(read_data=True).ok


def test_two_people_one_after_the_other(peopled: Work) -> None:
    work = peopled
    for number, who in enumerate([WHO, "p-0003"]):
        work.repo.request_add(f"r{number}", "deletion", subjects=[who])
        work.repo.request_erase(f"r{number}", "asked for")
    plan = work.repo.request("r1").record
    assert (b"totals.csv", 1, Reach.MIXED) in places(plan.found), "a row of many people is kept"
    assert plan.certificate is not None
    assert "mixed" in plan.certificate.limits
    assert holding(work.folder) == []
    assert holding(work.folder, "name 3743") == []
    assert holding(work.folder, "name 9574"), "of p-0005"
    assert work.reopen().fsck(read_data=True).ok
    assert "p-0003" not in (work.folder / "joined.csv").read_text()


def test_rows_of_parquet_go(tmp_path: Path) -> None:
    work = Work(tmp_path / "w")
    rules = b'[tables."*.parquet"]\nsubject = "id"\n'
    columns = {"id": list(range(500)), "name": [VALUE if n == 7 else f"n{n}" for n in range(500)]}
    for extra in ("a", "b"):
        columns["more"] = [extra] * 500
        pq.write_table(pa.table(columns), work.folder / "t.parquet", row_group_size=100)
        work.commit(extra, {b"dsvc.toml": rules})
    work.repo.request_add("r", "deletion", subjects=["7"])
    done = work.repo.request_erase("r", "asked for")
    assert places(done.plan.found) == {(b"t.parquet", 1, Reach.DIRECT)}
    assert len(done.plan.found) == 2
    assert pq.read_table(work.folder / "t.parquet")["id"].to_pylist() == [n for n in range(500) if n != 7]
    assert holding(work.folder) == []
    assert work.reopen().fsck(read_data=True).ok


def test_another_branch_and_a_stash_are_named(peopled: Work) -> None:
    work = peopled
    work.branch("other")
    work.write({b"orders.csv": b"order,buyer,note\n1,p-0007,-\n"})
    work.repo.stash()
    work.repo.checkout("main")
    work.repo.create_tag("v1")
    work.repo.request_add("r", "deletion", subjects=[WHO])
    refs = work.repo.request_plan("r").refs
    assert {"refs/heads/other", "refs/tags/v1"} < set(refs)
    assert any("stash" in ref for ref in refs)
    work.repo.request_erase("r", "asked for")
    with pytest.raises(ErasedError):
        work.repo.checkout("other")
    assert work.clean()
    assert holding(work.folder) == []


def test_a_whole_file_goes(tmp_path: Path) -> None:
    work = Work(tmp_path / "w")
    work.commit("1", {b"face.bin": VALUE.encode() * 9, b"other.bin": b"other"})
    digest = work.repo.manifest_of("HEAD").get(b"face.bin")
    assert digest is not None
    work.repo.request_add("r", "deletion", digests=[digest.digest.hex()])
    work.repo.request_erase("r", "asked for")
    assert holding(work.folder) == []
    assert not (work.folder / "face.bin").exists()
    assert (work.folder / "other.bin").read_bytes() == b"other"
    with pytest.raises(ErasedError):
        work.repo.open_file(b"face.bin", "HEAD~1").read()


def test_bytes_that_another_file_needs_are_a_decision(tmp_path: Path) -> None:
    work = Work(tmp_path / "w")
    text = b"who,name\np-0007," + VALUE.encode() + b"\n"
    work.commit("1", {b"dsvc.toml": b'[tables."a.csv"]\nsubject = "who"\n', b"a.csv": text})
    # The same chunk under a name that declares nothing is the same file: its rows go as well.
    work.commit("2", {b"copy.txt": text})
    work.repo.request_add("r", "deletion", subjects=[WHO])
    plan = work.repo.request_plan("r")
    assert [each.entry.path for each in plan.live] == [b"a.csv", b"copy.txt"]
    assert plan.shared == ()

    shared = Work(tmp_path / "v")
    rows = people(6000).replace(b"p-0007", b"p-9999", 1).splitlines(True)
    one, other = b"".join(rows), b"".join([*rows[:-1], rows[-1].replace(b"name", b"eman")])
    rules = b'[tables."a.csv"]\nsubject = "who"\n'
    shared.commit("1", {b"dsvc.toml": rules, b"a.csv": one, b"undeclared.csv": other})
    shared.repo.request_add("r", "deletion", subjects=["p-0003"])
    tip = shared.repo.history.refs.head().commit
    with pytest.raises(SharedContentError):
        shared.repo.request_erase("r", "asked for")
    assert shared.reopen().history.refs.head().commit == tip
    assert shared.repo.request("r").record.state is RequestState.OPEN
    done = shared.repo.request_erase("r", "asked for", keep_shared="it has a basis of its own")
    assert done.record.certificate is not None
    assert done.record.certificate.shared
    assert "shared" in done.record.certificate.limits
    assert b"p-0003" in (shared.folder / "undeclared.csv").read_bytes()
    assert b"p-0003" not in (shared.folder / "a.csv").read_bytes()


def test_uncommitted_work_is_not_touched(peopled: Work) -> None:
    work = peopled
    work.repo.request_add("r", "deletion", subjects=[WHO])
    work.write({b"people.csv": people(COUNT, "edited")})
    seen = work.everything()
    with pytest.raises(WouldOverwriteError):
        work.repo.request_erase("r", "asked for")
    work.repo.add(all=True)
    with pytest.raises(WouldOverwriteError):
        work.repo.request_erase("r", "asked for")
    work.repo.reset("HEAD")
    assert work.everything() == seen


def test_a_reason_that_can_not_be_recorded_changes_nothing(peopled: Work) -> None:
    repo = peopled.repo
    repo.request_add("r", "deletion", subjects=[WHO])
    before, refs = peopled.tree(), dict(repo.history.refs.list())
    for reason, kept in (("\udcff", None), ("asked for", "\udcff")):
        with pytest.raises(MalformedInputError, match="UTF-8"):
            repo.request_erase("r", reason, keep_shared=kept)
    assert (peopled.tree(), dict(repo.history.refs.list())) == (before, refs)


def test_what_can_not_be_erased_is_refused(work: Work) -> None:
    work.commit("1", {b"a": b"a"})
    work.repo.request_add("r", "refusal", domains=["example.org"])
    with pytest.raises(UsageError):
        work.repo.request_erase("r", "asked for")
    work.repo.request_add("d", "deletion", digests=["ab" * 32])
    with pytest.raises(UsageError):
        work.repo.request_erase("d", " ")
    work.repo.request_refuse("d", "no such person")
    with pytest.raises(RequestSettledError):
        work.repo.request_erase("d", "asked for")
    with pytest.raises(RequestSettledError):
        work.repo.request_refuse("d", "again")


def test_the_proof_reads_bytes_not_indexes(work: Work) -> None:
    work.commit("1", {b"a": b"secret" * 9})
    entry = work.repo.manifest_of("HEAD").get(b"a")
    assert entry is not None
    with pytest.raises(StillThereError):
        prove_absent(work.repo.store.backend, [entry.digest])
    assert prove_absent(work.repo.store.backend, [b"\0" * 32]) > 1
