"""Chains of operations: what every kind of them can rely on."""

from __future__ import annotations

import pytest

from dsvc.history.ref_name import check_ref_name
from dsvc.history.refs import RefMovedError
from dsvc.model.errors import CorruptDataError, MalformedInputError, NotFoundError
from dsvc.model.ids import CommitId
from dsvc.porcelain.records.operation_chain import Chains, prepare_operation, store_parts
from tests.porcelain.working import Work


class NoSuchNoteError(NotFoundError):
    """There is no note of that id."""

    code = "no-such-note"


NOTES = Chains("refs/dsvc/notes/", "note", str, NoSuchNoteError, "dsvc note list", guesses=True)
SHY = NOTES._replace(guesses=False)


def write(work: Work, id_: str, text: bytes, before: CommitId | None, reason: str | None = None) -> CommitId:
    with work.repo.changing():
        parents = [] if before is None else [before]
        kept = [] if before is None else work.repo.manifest_of(str(before)).entries(b"kept")
        state = store_parts(work.repo, {b"text": text, b"kept/" + text: text}, kept)
        prepared = prepare_operation(work.repo, state, parents, NOTES.title("write", id_, reason))
        NOTES.append(work.repo, id_, prepared, before, verb="note write", arguments=["x"])
    return prepared.id


def contents(work: Work, commit: CommitId) -> dict[bytes, bytes]:
    manifest = work.repo.manifest_of(str(commit))
    return {each.path: NOTES.part(work.repo, manifest, each.path) for each in manifest.entries()}


def test_operations_follow_each_other_and_are_taken_back(work: Work) -> None:
    one = write(work, "备注-1", b"a", None)
    two = write(work, "备注-1", b"b", one, "因为")
    other = write(work, "a", b"c", None)
    work.reopen()
    assert NOTES.ids(work.repo) == ["a", "备注-1"]
    assert [NOTES.head(work.repo, id_) for id_ in ("a", "备注-1")] == [other, two]
    steps = list(NOTES.steps(work.repo, "备注-1"))
    assert [(step.id, step.parents) for step in steps] == [(two, (one,)), (one, ())]
    assert [step.message.strip() for step in steps] == ["note write 备注-1: 因为", "note write 备注-1"]
    assert [(step.files, step.bytes) for step in steps] == [(3, 3), (2, 2)]
    assert contents(work, two) == {b"text": b"b", b"kept/a": b"a", b"kept/b": b"b"}
    assert work.repo.history.operations.list()[0].arguments == ("a", "x")
    assert work.repo.fsck(read_data=True).ok
    work.repo.undo()
    work.repo.undo()
    assert NOTES.tip(work.repo, "a") is None
    assert NOTES.tip(work.repo, "备注-1") == one


def test_of_two_that_write_at_once_one_is_told(work: Work) -> None:
    one = write(work, "n", b"a", None)
    two = write(work, "n", b"b", one)
    done = len(work.repo.history.operations.list())
    for before in (None, one):
        with pytest.raises(RefMovedError):
            write(work, "n", b"c", before)
    assert NOTES.head(work.repo, "n") == two
    assert len(work.repo.history.operations.list()) == done


def test_what_is_not_there_is_named(work: Work) -> None:
    write(work, "web-2024", b"a", None)
    with pytest.raises(NoSuchNoteError) as close:
        NOTES.head(work.repo, "web-2025")
    assert (close.value.message, close.value.hint) == ("there is no note web-2025", "did you mean web-2024?")
    assert close.value.details == {"note": "web-2025"}
    for chains, id_ in ((NOTES, "else"), (SHY, "web-2025")):
        with pytest.raises(NoSuchNoteError) as far:
            chains.steps(work.repo, id_)
        assert far.value.hint == "dsvc note list shows those that there are"
    manifest = work.repo.manifest_of(str(NOTES.head(work.repo, "web-2024")))
    with pytest.raises(CorruptDataError, match="a note has no signature"):
        NOTES.part(work.repo, manifest, b"signature")
    with pytest.raises(CorruptDataError, match="a note has no kept"):
        NOTES.part(work.repo, manifest, b"kept")


@pytest.mark.parametrize("id_", ["", "../x", "a b", "a.lock", "\ud800"])
def test_an_id_that_makes_no_ref_writes_nothing(work: Work, id_: str) -> None:
    with pytest.raises(MalformedInputError):
        check_ref_name(NOTES.prefix + id_)
    for ask in (NOTES.tip, NOTES.head, NOTES.steps):
        with pytest.raises(MalformedInputError):
            ask(work.repo, id_)
    with pytest.raises(MalformedInputError):
        write(work, id_, b"a", None)
    assert NOTES.ids(work.repo) == []
