"""Sources as people add them, judged by the default policy when they commit."""

from __future__ import annotations

import os
from collections.abc import Mapping

import pytest

from dsvc.lineage.validation import Gate, Outcome
from dsvc.model.errors import PolicyDeniedError, PolicyIncompleteError
from tests.porcelain.working import Work

POLICY = b'[policy]\npacks = ["default"]\n'
RESERVED = b'[{"location": "/", "tdm-reservation": 1}]'
FREE = b'[{"location": "/", "tdm-reservation": 0}]'
OPEN = b"User-agent: *\nAllow: /\n"
CLOSED = b"User-agent: our-bot\nDisallow: /\n"


def crawl(work: Work, snapshots: Mapping[str, bytes], basis: str = "tdm_exception") -> None:
    """Put a crawled file with snapshots of its site, as evidence of the source ``网站``."""
    work.write({b"web/a.txt": b"text", b"dsvc.toml": POLICY})
    folder = os.path.join(work.repo.root, "proof")
    os.makedirs(folder, exist_ok=True)
    for name, data in {"collection.md": b"crawled in May", **snapshots}.items():
        with open(os.path.join(folder, name), "wb") as stream:
            stream.write(data)
    work.repo.add(all=True)
    work.repo.source_add(
        "网站",
        [b"web"],
        fields={
            "title": "网页",
            "acquisition": "crawl",
            "legal_basis": basis,
            "license_expression": "LicenseRef-site",
            "user_agent": "our-bot",
            "domains": ["example.org=4"],
        },
        evidence=[os.path.join(folder, name) for name in ["collection.md", *snapshots]],
    )


def test_a_site_that_reserves_mining_is_kept_out_until_there_is_a_licence(work: Work) -> None:
    crawl(work, {"robots.txt": OPEN, "tdmrep.json": RESERVED})
    with pytest.raises(PolicyDeniedError) as caught:
        work.repo.commit("crawl")
    assert "SRC-08" in caught.value.message
    assert work.repo.commit("crawl", no_verify=True).verdict is None
    result = work.repo.check(gate=Gate.COMMIT)
    (violation,) = result.violations
    assert (violation.rule, violation.clause) == ("SRC-08", "CDSM 4(3); AI Act 53(1)(c)")
    assert (violation.subject, result.gate_exit_code) == ("source:网站".encode(), 20)
    licence = os.path.join(work.repo.root, "proof", "licence.txt")
    with open(licence, "wb") as stream:
        stream.write(b"you may")
    work.repo.source_set("网站", fields={"legal_basis": "licence"}, evidence=[f"licence_text={licence}"])
    work.write({b"web/b.txt": b"more"})
    work.repo.add(all=True)
    work.repo.source_update("网站")
    assert work.repo.commit("licensed").verdict == "PASS"


def test_robots_txt_counts_as_it_was_stored(work: Work) -> None:
    crawl(work, {"robots.txt": CLOSED, "tdmrep.json": FREE})
    with pytest.raises(PolicyDeniedError, match="SRC-07"):
        work.repo.commit("crawl")


def test_what_was_not_stored_is_not_known(work: Work) -> None:
    crawl(work, {"tdmrep.json": FREE})
    with pytest.raises(PolicyIncompleteError) as caught:
        work.repo.commit("crawl")
    assert {"SRC-02", "SRC-07"} <= set(caught.value.message.split())
    assert "网站 --evidence robots_txt=FILE" in caught.value.message


def test_a_crawl_with_its_snapshots_passes(work: Work) -> None:
    crawl(work, {"robots.txt": OPEN, "tdmrep.json": FREE})
    assert work.repo.commit("crawl").verdict == "PASS"
    result = work.repo.check(gate=Gate.RELEASE)
    assert result.outcome is Outcome.INCOMPLETE
    assert {"SRC-11"} <= {each.rule for each in result.violations}
