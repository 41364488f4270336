"""Records of every kind with values of another type, numbers that none has, or the bytes of another kind."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import msgspec
import pytest

from dsvc.history.git_writer import GitWriter
from dsvc.model.defect import decode_defect_operation
from dsvc.model.errors import DsvcError, MalformedInputError
from dsvc.model.feedback_codec import decode_feedback
from dsvc.model.ids import CommitId
from dsvc.model.release import decode_release_operation
from dsvc.model.repair import decode_plan, decode_repair_operation
from dsvc.model.repair_proof import decode_proof
from dsvc.model.run_record import decode_run
from dsvc.model.source_operation import decode_operation
from dsvc.model.source_record import decode_source
from dsvc.release.facts_codec import decode_facts
from dsvc.testing.faults import tried
from tests.forgingkit import READERS, WRITERS, evil_branch, refused
from tests.loop_records import DEFECT, FACTS, PLAN, PROOF, RECORD, RELEASE, REPAIR
from tests.outside import watched
from tests.porcelain.working import Work
from tests.property.test_provenance_bytes import _OPERATION, _RUN, _SOURCE
from tests.record_mutations import places, value_at, with_
from tests.storekit import put_record

RECORDS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "run": (_RUN, decode_run),
    "source": (_SOURCE, decode_source),
    "operation on a source": (_OPERATION, decode_operation),
    "evaluation": (RECORD, decode_feedback),
    "operation on a defect": (DEFECT, decode_defect_operation),
    "plan": (PLAN, decode_plan),
    "operation on a repair": (REPAIR, decode_repair_operation),
    "proof": (PROOF, decode_proof),
    "operation on a release": (RELEASE, decode_release_operation),
}
NO_NUMBERS = ("8", "1e999", 1e300, float("inf"), float("nan"), True, [8], {}, b"8")


@pytest.mark.parametrize("kind", RECORDS)
def test_h15_no_number_is_taken_from_another_type(kind: str) -> None:
    """What may be anything, such as a parameter, is kept; nothing is made a number that was none."""
    whole, decode = RECORDS[kind]
    plain = msgspec.msgpack.decode(whole)
    numbers = [at for at in places(plain) if type(value_at(plain, at)) is int]
    for at in numbers:
        for new in NO_NUMBERS:
            forged = msgspec.msgpack.encode(with_(plain, at, new))
            try:
                read = decode(forged)
            except MalformedInputError:
                continue
            assert read != decode(whole), (at, new)
        for new in (1 << 63, (1 << 64) - 1, -1, -(1 << 63)):
            forged = msgspec.msgpack.encode(with_(plain, at, new))
            try:
                decode(forged)
            except MalformedInputError:
                continue
    tried("hostile cases", len(numbers) * 13)


def test_h15_numbers_that_json_spells_beyond_all_measure() -> None:
    from dsvc.model.waiver import decode_waiver

    for number in (b"9" * 5000, b"1e999", b"-1", b"9223372036854775808", b"NaN", b'"1"', b"1.5"):
        with pytest.raises(DsvcError) as caught:
            decode_facts(FACTS.replace(b"1", number, 1))
        assert caught.value.exit_code in (41, 12), number
        with pytest.raises(DsvcError) as caught:
            decode_waiver(b'{"format":' + number + b"}\n")
        assert caught.value.exit_code in (41, 12), number


def test_h23_no_record_is_read_as_another() -> None:
    for (one, (data, _)), (other, (_, decode)) in permutations(RECORDS.items(), 2):
        with pytest.raises(DsvcError) as caught:
            decode(data)
        assert caught.value.exit_code in (41, 12), f"{one} as {other}"
    tried("hostile cases", len(RECORDS) * (len(RECORDS) - 1))


@pytest.fixture
def work(tmp_path: Path) -> Work:
    work = Work(tmp_path / "parent" / "data")
    work.commit("first", {b"kept.txt": b"kept\n"})
    return work


def test_h23_a_version_that_is_something_else(work: Work) -> None:
    """A commit may name a chunk, a record, a lineage as its manifest; their hashes are of other domains."""
    from dsvc.model.ids import NodeId
    from dsvc.model.manifest import tree_entry

    repo = work.repo
    entry = repo.manifest_of("HEAD").get(b"kept.txt")
    assert entry is not None
    record = put_record(repo.store, b"\x92\x00\x90")
    tree = repo.manifest(repo.staged().root).update([(b"tree", tree_entry(b"tree", repo.staged().root))])
    repo.store.publish()
    for what in (NodeId(entry.digest), NodeId(bytes(record)), tree, NodeId(b"x" * 32)):
        evil_branch(work, what, branch=f"evil-{what.hex()[:8]}")
        branch = f"evil-{what.hex()[:8]}"
        commands = {
            name: lambda repo, command=command, branch=branch: command(repo, branch)
            for name, command in (READERS | WRITERS).items()
        }
        refused(work, commands, (41, 30, 31))


def test_h23_a_git_object_of_another_type(work: Work) -> None:
    repo = work.repo
    head = repo.history.refs.head().commit
    assert head is not None
    tree = CommitId(repo.history.odb.read(head)[1][5:45].decode())
    git = work.folder / ".dsvc/git"
    (blob,) = GitWriter(str(git), durable=False).write([("blob", b"x")])
    for name, id_ in (("tree", tree), ("blob", blob), ("operation", repo.history.operations.list(1)[0].id)):
        (git / f"refs/heads/{name}").write_text(f"{id_}\n")
        commands = {
            verb: lambda repo, command=command, name=name: command(repo, name)
            for verb, command in (READERS | WRITERS).items()
        }
        refused(work, commands, (41, 30, 14))
    for kind, id_ in (("operations", head), ("operations", tree), ("stash", tree)):
        ref = git / ("refs/dsvc/operations" if kind == "operations" else "refs/dsvc/stash")
        before = ref.read_bytes() if ref.exists() else None
        ref.write_text(f"{id_}\n")
        verb = (lambda: work.reopen().undo()) if kind == "operations" else (lambda: work.reopen().stash_pop())
        ended = watched({kind: verb}, work.folder)[kind]
        assert ended.code in (41, 30), ended
        if before is None:
            ref.unlink()
        else:
            ref.write_bytes(before)


LINES = {
    "1970": (b"0 +0000", True),
    "before 1970": (b"-1 +0000", False),
    "2^63": (b"9223372036854775808 +0000", False),
    "NaN": (b"NaN +0000", False),
    "1e9": (b"1e9 +0000", False),
    "far away": (b"9007199254740992 +0000", True),
    "a zone of 99 hours": (b"1 -9959", False),
    "no zone": (b"1", False),
}


@pytest.mark.parametrize("name", LINES)
def test_h24_dates_of_commits(work: Work, name: str) -> None:
    """A date that can be is shown, and decides nothing; another one is malformed."""
    line, may_be = LINES[name]
    repo = work.repo
    head = repo.history.refs.head().commit
    assert head is not None
    data = repo.history.odb.read(head)[1]
    stamp = data.split(b"\ncommitter ")[1].split(b"\n")[0].split(b"> ")[1]
    forged = data.replace(stamp, line)
    git = work.folder / ".dsvc/git"
    (id_,) = GitWriter(str(git), durable=False).write([("commit", forged)])
    (git / "refs/heads/dated").write_text(id_ + "\n")
    cases: dict[str, Callable[[], object]] = {
        "log": lambda: [entry.commit.id for entry in work.reopen().log("dated")],
        "check": lambda: work.reopen().check("dated").outcome.value,
        "merge": lambda: work.reopen().merge("dated", message="m").conflicts,
        "gc": lambda: bool(work.reopen().gc(grace_seconds=0)),
        "archive": lambda: bool(work.reopen().archive("dated", str(work.folder / ".dsvc/tmp/x.tar"))),
    }
    check = work.reopen().check("HEAD").outcome.value
    ended = watched(cases, work.folder)
    if may_be:
        assert ended["log"].value == [id_]
        assert ended["check"].value == check
        assert {each.code for name, each in ended.items() if name != "merge"} <= {0}
    else:
        # `check` says that it can't tell; gc keeps everything while a commit can't be read.
        assert {each.code for name, each in ended.items() if name != "check"} == {41}
        assert ended["check"].code == 41 or ended["check"].value == "INCOMPLETE"


@pytest.mark.parametrize("loop", ["HEAD on itself", "two", "five", "out", "long", "nothing", "folder"])
def test_h26_a_head_that_leads_nowhere(work: Work, loop: str) -> None:
    git = work.folder / ".dsvc/git"
    head = git / "HEAD"
    if loop == "HEAD on itself":
        head.write_text("ref: HEAD\n")
    elif loop in ("two", "five"):
        names = [f"refs/heads/n{number}" for number in range(2 if loop == "two" else 5)]
        for name, following in zip(names, [*names[1:], names[0]], strict=True):
            (git / name).write_text(f"ref: {following}\n")
        head.write_text(f"ref: {names[0]}\n")
    elif loop == "folder":
        head.unlink()
        head.mkdir()
    else:
        lies = {
            "out": "ref: ../../../../etc/passwd\n",
            "long": "ref: refs/heads/" + "x" * 8000,
            "nothing": "\0",
        }
        head.write_text(lies[loop])
    commands: dict[str, Callable[[], object]] = {
        "status": lambda: work.reopen().status(),
        "log": lambda: list(work.reopen().log()),
        "commit": lambda: work.reopen().commit("x", allow_empty=True),
        "checkout": lambda: work.reopen().checkout("main"),
        "branch": lambda: work.reopen().create_branch("new"),
        "undo": lambda: work.reopen().undo(),
        "stash": lambda: work.reopen().stash(),
    }
    for name, ended in watched(commands, work.folder).items():
        assert ended.code in (41, 30, 10, 33), (name, ended)
    assert not (git / "refs/heads/new").exists()
