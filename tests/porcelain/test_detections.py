"""What detectors say is kept with the commit, judged from the cache, and looked for again when asked."""

from __future__ import annotations

import os
import threading

import pytest

from dsvc.lineage.lineage_tree import LineageTree
from dsvc.lineage.validation import Gate
from dsvc.model.detection_run import DetectionRun, decode_detection_run, encode_detection_run
from dsvc.model.errors import LineageBrokenError, MalformedInputError
from dsvc.policy.detectors.detector import config_digest
from dsvc.policy.detectors.secrets import Secrets
from dsvc.porcelain.policy.recorded_detections import Repeated, recorded_detections, repeat_detections
from dsvc.porcelain.state.commit_lineage import lineage_of
from tests.lineagekit import Lab
from tests.porcelain.working import Work

KEY = b'{"id": 1, "text": "aws_secret_access_key = \\"wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzz123\\""}\n'
PLAIN = b'{"id": 1, "text": "nothing"}\n'
PACK = b"""id = "own"
version = "1"
date = "2026-01-01"
title = { en = "Own", zh = "Own" }

[rules.SAFE-04]
severity = "blocking"
stage = "commit"
clause = "S4"
"""


@pytest.fixture
def lab(work: Work) -> Lab:
    lab = Lab(work)
    lab.put({b"own.toml": PACK, b"dsvc.toml": b'[policy]\npacks = ["own.toml"]\n'})
    lab.repo.commit("policy", no_verify=True)
    return lab


def test_a_secret_is_refused_and_found_again_after_it_slipped_past(lab: Lab) -> None:
    lab.put({b"a.jsonl": KEY})
    with pytest.raises(LineageBrokenError, match=r"SAFE-04 a\.jsonl: it has secrets"):
        lab.repo.commit("keys")
    lab.repo.commit("keys", no_verify=True)
    (violation,) = [each for each in lab.repo.check().violations if each.rule == "SAFE-04"]
    assert (violation.subject, violation.exit_code) == (b"a.jsonl", 20)
    assert b"wJalr" not in violation.message.encode()


@pytest.mark.parametrize("name", [b"source:web", b"run:1"])
def test_a_secret_that_changed_is_news_whatever_its_file_is_called(lab: Lab, name: bytes) -> None:
    """What was there already passes a commit, by the content of the file, not by what is said of it."""
    lab.put({name: KEY})
    lab.repo.commit("keys", no_verify=True)
    lab.put({name: KEY.replace(b"zzzzzzz123", b"yyyyyyy456")})
    with pytest.raises(LineageBrokenError, match="SAFE-04"):
        lab.repo.commit("other keys")


def test_a_commit_keeps_what_was_said(lab: Lab) -> None:
    entry = lab.put({b"a.jsonl": PLAIN})[b"a.jsonl"]
    lab.source("own", [entry])
    result = lab.repo.commit("plain")
    assert result.verdict == "PASS"
    (run,) = lineage_of(lab.repo, result.commit).detections()
    assert (run.detector, run.clean, run.found) == ("secrets", ((b"a.jsonl", entry.digest),), ())
    assert lab.repo.fsck(read_data=True).defects == ()
    data = encode_detection_run(run)
    assert decode_detection_run(data) == run
    for cut in range(len(data)):
        with pytest.raises(MalformedInputError):
            decode_detection_run(data[:cut])


def test_nothing_is_lost_with_the_cache(lab: Lab) -> None:
    lab.put({b"a.jsonl": KEY, b"b.jsonl": PLAIN})
    lab.repo.commit("keys", no_verify=True)
    first = lab.repo.check()
    folder = os.path.join(lab.repo.layout.cache, "detections")
    for file in os.scandir(folder):
        os.unlink(file)
    again = lab.repo.check()
    assert again.violations == first.violations
    assert (again.bytes, again.digest) == (first.bytes, first.digest)


def test_a_lineage_without_detections_has_none(lab: Lab) -> None:
    assert list(LineageTree(lab.repo.store, None).detections()) == []


def test_what_was_said_can_be_found_out_again(lab: Lab) -> None:
    entries = lab.put({"数据.jsonl".encode(): PLAIN, b"b.txt": b"plain\n"})
    lab.source("own", list(entries.values()))
    lab.repo.commit("plain")
    (recorded,) = recorded_detections(lab.repo)
    assert recorded.repeated is None
    (again,) = repeat_detections(lab.repo)
    assert (again.repeated, again.differing) == (Repeated.IDENTICAL, ())


def test_a_process_with_threads_has_others_files_looked_at_too(lab: Lab) -> None:
    """It can't be forked; what is foreign to it goes to processes that are started."""
    settings = (
        b'[policy]\npacks = ["default", "cn-genai", "own.toml"]\n[tables."*.jsonl"]\nlabel = ["text"]\n'
    )
    lab.put(
        {
            b"a.jsonl": KEY,
            "数据.jsonl".encode(): PLAIN * 9,
            b"b.txt": b"13800138000\n",
            b"dsvc.toml": settings,
        }
    )
    lab.repo.commit("keys", no_verify=True)
    alone = lab.repo.check(gate=Gate.RELEASE, rescan=True)
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    other.start()
    try:
        beside = lab.repo.check(gate=Gate.RELEASE, rescan=True)
    finally:
        end.set()
        other.join()
    assert (beside.bytes, beside.violations) == (alone.bytes, alone.violations)
    assert "no process" not in str(alone.violations)
    assert "SAFE-04" in {each.rule for each in alone.violations}


def test_a_record_that_lies_is_told(lab: Lab) -> None:
    entry = lab.put({b"a.jsonl": KEY})[b"a.jsonl"]
    commit = lab.repo.commit("keys", no_verify=True).commit
    honest = LineageTree(lab.repo.store, None)
    version, config = Secrets().version(), config_digest(Secrets().config())
    lie = DetectionRun(
        detector="secrets", version=version, config=config, clean=((b"a.jsonl", entry.digest),), found=()
    )
    root = honest.with_detections([lie])
    lab.repo.store.publish()
    assert root is not None
    who, now = lab.repo.signature(), lab.repo.history.read_commit(commit)
    prepared = lab.repo.history.commit(
        parents=[commit],
        manifest=now.manifest,
        files=now.files,
        bytes=now.bytes,
        message="all is clean, believe me",
        author=who,
        committer=who,
        lineage=root,
        branch="refs/heads/main",
        expected=commit,
    )
    lab.repo.record("commit", changes=prepared.changes, objects=prepared.objects)
    (again,) = repeat_detections(lab.repo)
    assert (again.repeated, again.differing) == (Repeated.DIFFERENT, (b"a.jsonl",))
    assert "SAFE-04" in {each.rule for each in lab.repo.check().violations}


@pytest.mark.parametrize(("planted", "said"), [(2, ""), (3, "3 words of the list in 100 records")])
def test_words_of_the_list_are_looked_for(lab: Lab, planted: int, said: str) -> None:
    rows = "".join(f'{{"id": {n}, "text": "{"坏词" if n < planted else "好"}"}}\n' for n in range(100))
    pack = PACK.replace(b"SAFE-04", b"SAFE-02").replace(b"commit", b"release")
    entry = lab.put(
        {
            b"own.toml": pack,
            b"dsvc.toml": b'[policy]\npacks = ["own.toml"]\nwords = "words.toml"\n',
            b"words.toml": 'version = "1"\nupdated = "2026-01-01"\n[risks]\n"A.1.1" = ["坏词"]\n'.encode(),
            "数据.jsonl".encode(): rows.encode(),
        }
    )["数据.jsonl".encode()]
    lab.source("own", [entry])
    lab.repo.commit("words", no_verify=True)
    found = [each for each in lab.repo.check(gate=Gate.RELEASE).violations if each.subject == entry.path]
    assert [each.message for each in found if said not in each.message] == []
    assert bool(found) is bool(said)
    assert "坏词" not in "".join(each.message for each in found)
