"""What detectors say is kept with the commit, judged from the cache, and looked for again when asked."""

from __future__ import annotations

import os

import pytest

from dsvc.lineage.lineage_tree import LineageTree
from dsvc.model.detection_run import decode_detection_run, encode_detection_run
from dsvc.model.errors import LineageBrokenError, MalformedInputError
from dsvc.porcelain.commit_lineage import lineage_of
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
    with pytest.raises(LineageBrokenError, match="SAFE-04"):
        lab.repo.commit("keys")
    lab.repo.commit("keys", no_verify=True)
    (violation,) = [each for each in lab.repo.check().violations if each.rule == "SAFE-04"]
    assert (violation.subject, violation.exit_code) == (b"a.jsonl", 20)
    assert b"wJalr" not in violation.message.encode()


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
