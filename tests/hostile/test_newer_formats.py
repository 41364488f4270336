"""F43: what a newer dsvc wrote is refused, or made again where it is a cache; it is never misread or changed.

There is no release before this one, so two versions of dsvc can't meet here. That this one reads what was
written earlier is shown by the stored repository of ``tests/golden``; what a later one might write is made
here by hand: another version, a feature, a magic, a format that this one doesn't know.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest
import xxhash

from dsvc.lineage.link_file import LinkFile, encode_links
from dsvc.lineage.links import ordered
from dsvc.lineage.row_account import RowAccount, decode_account, encode_account
from dsvc.model.defect import decode_defect_operation
from dsvc.model.detection import Detection, DetectionStatus, decode_detection, encode_detection
from dsvc.model.detection_run import DetectionRun, decode_detection_run, encode_detection_run
from dsvc.model.errors import CorruptDataError, DsvcError, UnsupportedFormatError
from dsvc.model.feedback_codec import decode_feedback
from dsvc.model.release import decode_release_operation
from dsvc.model.repair import decode_plan, decode_repair_operation
from dsvc.model.repair_proof import decode_proof
from dsvc.model.rights_request import decode_request, decode_request_operation
from dsvc.model.run_record import Fates, decode_run
from dsvc.model.source_operation import decode_operation
from dsvc.model.source_record import decode_source
from dsvc.model.waiver import decode_waiver
from dsvc.porcelain.repository import Repository
from dsvc.release.facts_codec import decode_facts
from dsvc.store import block
from dsvc.testing.faults import run_in_child, tried
from dsvc.testing.image import Image
from tests import loop_records, wholekit
from tests.faultkit import commit_all, open_in, repository, write
from tests.policyworlds import objects
from tests.verbkit import Whole, dsvc, everything, lay_out


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tmp_path_factory.mktemp("newer"))


SETTINGS: dict[str, tuple[str, str]] = {
    "a newer version": ("format = 1", "format = 2"),
    "a version of long ago": ("format = 1", "format = 0"),
    "an unknown feature": ('"packs-v1"', '"packs-v1", "packs-v2"'),
    "other objects of git": ('objectFormat = "sha1"', 'objectFormat = "sha256"'),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_f43_no_verb_touches_a_repository_that_needs_more(whole: Whole, fast_path: Path, name: str) -> None:
    root = lay_out(whole, fast_path)
    config = root / ".dsvc/config"
    text = config.read_text()
    assert SETTINGS[name][0] in text
    config.write_text(text.replace(*SETTINGS[name]))
    before = everything(root)
    verbs = [words for _, words in whole.reading() if words[0] not in ("completion", "version", "hook")]
    verbs = [words for words in verbs if words != ("policy", "list")] + whole.changing()
    # All four come to the same place: between them each verb is tried twice.
    verbs = verbs[list(SETTINGS).index(name) % 2 :: 2]

    def run() -> None:
        log = os.memfd_create("said")
        for stream in (1, 2):
            os.dup2(log, stream)
        for words in verbs:
            os.ftruncate(log, 0)
            code = dsvc(root, *words)
            said = os.pread(log, 4096, 0).decode()
            # fsck says so, too, among what it finds.
            assert code == 12 or (words[0] == "fsck" and code), f"{words}: {code}: {said}"
            assert everything(root) == before, words

    assert run_in_child(run).error is None
    tried("hostile cases", len(verbs))


DETECTION = Detection(
    detector="toy", version="1", config="", input=b"k" * 32, status=DetectionStatus.CLEAN, scanned_bytes=1
)
RECORDS: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "evaluation": (loop_records.RECORD, decode_feedback),
    "defect": (loop_records.DEFECT, decode_defect_operation),
    "plan": (loop_records.PLAN, decode_plan),
    "repair": (loop_records.REPAIR, decode_repair_operation),
    "proof": (loop_records.PROOF, decode_proof),
    "release": (loop_records.RELEASE, decode_release_operation),
    "facts": (loop_records.FACTS, decode_facts),
    "detection": (encode_detection(DETECTION), decode_detection),
    "run of a detector": (
        encode_detection_run(
            DetectionRun(detector="toy", version="1", config="", clean=((b"a", b"k" * 32),), found=())
        ),
        decode_detection_run,
    ),
}
DECODERS: list[Callable[[bytes], object]] = [
    decode_run,
    decode_source,
    decode_operation,
    decode_request,
    decode_request_operation,
    decode_waiver,
]


@pytest.mark.parametrize("name", RECORDS)
@pytest.mark.parametrize("more", [False, True], ids=["another number", "and another field"])
def test_f43_records_of_another_format(name: str, more: bool) -> None:
    data, decode = RECORDS[name]
    decode(data)
    newer = msgspec.msgpack.decode(data)
    newer["format"] = 2
    if more:
        newer["what is to come"] = [1, 2]
    with pytest.raises(DsvcError) as caught:
        decode(msgspec.msgpack.encode(newer))
    assert caught.value.exit_code in (12, 41)
    tried("hostile cases")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Every object that a repository with some of everything holds."""
    root = str(tmp_path_factory.mktemp("everything") / "repo")
    wholekit.image().lay_out(root)
    return [item.data for item in objects(root)]


@pytest.mark.parametrize("decode", DECODERS, ids=lambda each: each.__name__)
def test_f43_stored_records_of_another_format(stored: list[bytes], decode: Callable[[bytes], object]) -> None:
    """Runs, sources, requests, waivers: as a repository has them, with one number changed."""
    good = [data for data in stored if _decodes(decode, data)]
    assert good
    for data in good:
        is_json = data[:1] == b"{"
        newer = msgspec.json.decode(data) if is_json else msgspec.msgpack.decode(data)
        for changed in ({**newer, "format": 2}, {**newer, "format": 2, "more": 1}):
            with pytest.raises(DsvcError) as caught:
                decode((msgspec.json if is_json else msgspec.msgpack).encode(changed))
            assert caught.value.exit_code in (12, 41)
            tried("hostile cases")


def _decodes(decode: Callable[[bytes], object], data: bytes) -> bool:
    try:
        decode(data)
    except DsvcError:
        return False
    return True


def test_f43_row_maps_and_accounts_of_another_format() -> None:
    links = encode_links(ordered(np.array([0, 1], np.int64), np.array([3, 4], np.int64)))
    none = np.zeros(0, np.int64)
    account = encode_account(RowAccount(Fates(kept=2), none, none, (), none, none))
    assert LinkFile(links).count == 2
    assert decode_account(account).fates.kept == 2
    for data, read in ((links, LinkFile), (account, decode_account)):
        assert data[7:8] == b"1"
        with pytest.raises(DsvcError):
            read(data[:7] + b"2" + data[8:])
        tried("hostile cases")


@pytest.fixture
def small(fast_path: Path) -> Path:
    root = fast_path / "small"
    Repository.init(str(root))
    write(root, {b"kept": b"kept\n", b"t.csv": b"id,v\n" + b"".join(b"%d,x\n" % n for n in range(400))})
    with repository(str(root)) as repo:
        commit_all(repo, "first")
        write(root, {b"t.csv": b"id,v\n" + b"".join(b"%d,y\n" % n for n in range(400))})
        commit_all(repo, "second")
        repo.diff("HEAD~1", "HEAD")
        write(root, {b"kept": b"staged\n"})
        repo.add([b"kept"])
        repo.status()
    return root


def whole_or_refused(repo: Repository) -> None:
    result = repo.fsck(read_data=True)
    if not result.ok:
        raise CorruptDataError(result.defects[0].message)


VERBS: dict[str, Callable[[Repository], object]] = {
    "status": lambda repo: repo.status(),
    "add": lambda repo: repo.add(all=True),
    "commit": lambda repo: repo.commit("more", all=True),
    "checkout": lambda repo: repo.checkout("HEAD~1", force=True),
    "restore": lambda repo: repo.restore([b""], source="HEAD~1"),
    "cat": lambda repo: repo.open_file(b"t.csv", "HEAD~1").read(),
    "diff": lambda repo: repo.diff("HEAD~1", "HEAD"),
    "log": lambda repo: list(repo.log()),
    "undo": lambda repo: repo.undo(),
    "gc": lambda repo: repo.gc(grace_seconds=0),
    "fsck": whole_or_refused,
    "repair": lambda repo: repo.fsck(repair=True),
}


def _refused(root: Path, must: Sequence[str]) -> None:
    """Run every verb: none is untyped, none changes a version, those that must refuse do."""
    whole = everything(root)
    image = Image(str(root))
    for number, (name, verb) in enumerate(VERBS.items()):
        # Each begins with the repository as the newer dsvc left it.
        again = root.parent / f"again-{number}"
        image.lay_out(str(again))
        outcome = run_in_child(partial(_run_verb, verb, str(again)))
        assert outcome.error is not None or name not in must, name
        if outcome.error is not None:
            assert isinstance(outcome.error, DsvcError)
            assert outcome.error.exit_code in (12, 15, 30, 31, 41), (name, outcome.error)
            found = {path.replace(str(again), str(root)): state for path, state in everything(again).items()}
            kept = [path for path in whole if "/packs/" in path or "/git/" in path or "/.dsvc/" not in path]
            assert {p: found.get(p) for p in kept} == {p: whole[p] for p in kept}, name
        tried("hostile cases")
        shutil.rmtree(again)


def _run_verb(verb: Callable[[Repository], object], root: str) -> None:
    verb(open_in(root))


def _rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.chmod(0o644)
    data = path.read_bytes()
    changed = change(data)
    assert changed != data
    path.write_bytes(changed)


@pytest.mark.parametrize("part", ["header", "trailer", "codec"])
def test_f43_packs_of_another_format(small: Path, part: str) -> None:
    def change(data: bytes) -> bytes:
        if part == "header":
            return data.replace(b"DSVCPACK\x01", b"DSVCPACK\x02", 1)
        if part == "trailer":
            return data.replace(b"DSVCEND\x01", b"DSVCEND\x02", 1)
        # A codec that there isn't yet, in all places that name it.
        at = data.index(block.MAGIC) + 4
        return data[:at] + b"\x07" + data[at + 1 :]

    for path in (small / ".dsvc/packs").glob("*.pack"):
        _rewrite(path, change)
    _refused(small, ["fsck"] if part != "trailer" else ["fsck", "cat", "diff", "checkout", "restore", "gc"])


def test_f43_git_objects_of_another_kind(small: Path) -> None:
    """A bare repository whose version git itself would refuse."""
    config = small / ".dsvc/git/config"
    text = config.read_text().replace("repositoryformatversion = 0", "repositoryformatversion = 1")
    config.write_text(text + "[extensions]\n\tobjectFormat = sha256\n\trefStorage = reftable\n")
    assert "= 1" in text
    _refused(small, ["log"])


def test_f43_operations_of_another_format(small: Path) -> None:
    with repository(str(small)) as repo:
        tip = repo.history.refs.list("refs/dsvc/")["refs/dsvc/operations"]
    git = ["git", "--git-dir", str(small / ".dsvc/git")]

    def run(*words: str, data: bytes = b"") -> bytes:
        return subprocess.run([*git, *words], input=data, capture_output=True, check=True).stdout.strip()

    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    operation = json.loads(run("cat-file", "blob", f"{tip}:operation"))
    newer = json.dumps({**operation, "format": 2, "more": True}).encode()
    blob = run("hash-object", "-w", "--stdin", data=newer).decode()
    tree = run("mktree", data=f"100644 blob {blob}\toperation\n".encode()).decode()
    text = run("cat-file", "commit", str(tip)).decode()
    changed = re.sub(r"^tree [0-9a-f]{40}", f"tree {tree}", text)
    commit = run("hash-object", "-t", "commit", "-w", "--stdin", data=changed.encode() + b"\n").decode()
    run("update-ref", "refs/dsvc/operations", commit)
    with repository(str(small)) as repo:
        with pytest.raises(UnsupportedFormatError):
            list(repo.operations())
        assert any("newer dsvc" in each.message for each in repo.fsck().defects)
    _refused(small, ["undo", "gc", "fsck"])


@pytest.mark.parametrize("part", ["staged", "merge"])
def test_f43_work_files_of_another_shape(small: Path, part: str) -> None:
    """One more field than this dsvc knows, under a checksum that is right."""
    path = small / ".dsvc/work/staged"
    body = msgspec.msgpack.encode([*msgspec.msgpack.decode(path.read_bytes()[24:]), "more"])
    (path.parent / part).write_bytes(b"DSVCWORK" + xxhash.xxh3_128_digest(body) + body)
    _refused(small, ["status", "add", "commit"])


def test_f43_caches_of_another_format_are_made_again(small: Path) -> None:
    """Their magic is another, or their fields are, under checksums that are right; answers are the same."""

    def answers() -> list[object]:
        with repository(str(small)) as repo:
            delta = repo.diff("HEAD~1", "HEAD")
            return [repo.status(), delta, repo.fsck().ok]

    expected = answers()
    changed = 0
    for path in (small / ".dsvc/cache").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if data[:7] == b"dsvcrow":
                path.write_bytes(b"dsvcrow9" + data[8:])
            elif xxhash.xxh3_64_digest(data[8:]) == data[:8]:
                fields = msgspec.msgpack.decode(data[8:])
                body = msgspec.msgpack.encode([*fields, 2] if isinstance(fields, list) else {"format": 2})
                path.write_bytes(xxhash.xxh3_64_digest(body) + body)
            else:
                path.write_bytes(data[::-1])
            changed += 1
    assert changed >= 3
    assert answers() == expected
    tried("hostile cases", changed)
