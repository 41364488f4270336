"""Evidence: its kinds, how they are told, and what snapshots of web sites say."""

from __future__ import annotations

import pytest

from dsvc.lineage.evidence import (
    TYPES,
    EvidenceError,
    EvidenceOption,
    evidence_missing,
    evidence_needed,
    free_name,
    infer_type,
    is_valid,
    parse_option,
)
from dsvc.lineage.optout import Site, read_facts, sites_of
from dsvc.model.source_record import Acquisition, Evidence


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("LICENSE", EvidenceOption("LICENSE")),
        ("contract=合同 v1.pdf", EvidenceOption("合同 v1.pdf", "contract")),
        ("license=a/b=c.txt", EvidenceOption("a/b=c.txt", "licence_text")),
        ("a@b.txt", EvidenceOption("a@b.txt")),
        (
            "consent=c.pdf@2025-01-01..2026-01-01",
            EvidenceOption("c.pdf", "consent", "2025-01-01", "2026-01-01"),
        ),
        ("c.pdf@2025-01-01..", EvidenceOption("c.pdf", None, "2025-01-01", None)),
        ("c.pdf@..2025-01-01", EvidenceOption("c.pdf", None, None, "2025-01-01")),
    ],
)
def test_evidence_is_named_with_kind_and_validity(text: str, option: EvidenceOption) -> None:
    assert parse_option(text) == option


def test_a_wrong_kind_or_date_is_refused() -> None:
    with pytest.raises(EvidenceError) as caught:
        parse_option("contrakt=c.pdf")
    assert "did you mean contract?" in (caught.value.hint or "")
    with pytest.raises(Exception, match="a date that there is"):
        parse_option("c.pdf@2025-13-01..")


@pytest.mark.parametrize(
    ("name", "data", "type_"),
    [
        ("LICENSE", b"", "licence_text"),
        ("LICENCE.md", b"", "licence_text"),
        ("CC-BY.license", b"", "licence_text"),
        ("使用许可.txt", b"", "licence_text"),
        ("example.org.robots.txt", b"", "robots_txt"),
        ("robots-2024.txt", b"", "robots_txt"),
        ("snapshot", b"# x\nUser-agent: *\nDisallow: /\n", "robots_txt"),
        ("tdmrep.json", b"", "tdmrep"),
        ("x.json", b'[{"location": "/", "tdm-reservation": 1}]', "tdmrep"),
        ("headers.txt", b"", "headers"),
        ("x", b"HTTP/2 200\n", "headers"),
        ("采购合同.pdf", b"", "contract"),
        ("supplier-contract-proof.pdf", b"", "supplier_proof"),
        ("授权书.pdf", b"", "authorisation"),
        ("crawl-log.csv", b"", "collection_record"),
        ("annotation-guide.md", b"", "annotation_rules"),
        ("x.txt", b"This is licensed under CC-BY.", "licence_text"),
        ("x.bin", b"\xff\x00", "other"),
    ],
)
def test_the_kind_of_a_file_is_told(name: str, data: bytes, type_: str) -> None:
    assert infer_type(name, data) == type_


def of(type_: str, **more: str) -> Evidence:
    return Evidence(type=type_, name=type_, digest=bytes(32), size=1, **more)  # type: ignore[arg-type]


def test_every_kind_of_acquisition_needs_evidence_that_there_is() -> None:
    for kind in Acquisition:
        needed = evidence_needed(kind)
        assert needed
        assert {type_ for group in needed for type_ in group} <= set(TYPES)
        assert evidence_missing(kind, []) == needed
        assert evidence_missing(kind, [of(group[-1]) for group in needed]) == ()
    assert evidence_needed(Acquisition.OPEN_DATASET) == (("licence_text",),)
    held = [of("collection_record"), of("headers")]
    assert evidence_missing(Acquisition.CRAWL, held) == (("robots_txt",),)


def test_evidence_that_is_over_is_missing_on_that_day() -> None:
    held = [of("contract", valid_from="2025-01-01", valid_to="2025-12-31"), of("supplier_proof")]
    assert evidence_missing(Acquisition.PURCHASE, held, day="2025-12-31") == ()
    assert evidence_missing(Acquisition.PURCHASE, held, day="2026-01-01") == (("contract",),)
    assert not is_valid(held[0], "2024-12-31")


def test_names_stay_unique() -> None:
    assert free_name("robots.txt", []) == "robots.txt"
    assert free_name("robots.txt", ["robots.txt", "robots-2.txt"]) == "robots-3.txt"
    assert free_name("许可", ["许可"]) == "许可-2"
    assert free_name(".x", [".x"]) == ".x-2"


ROBOTS = b"""\
User-agent: DsvcBot
Disallow: /private/
Content-Usage: train-ai=n, search=y
Content-Usage: /open/ train-ai=y

User-agent: *
Disallow: /
Content-Usage: train-ai=n
"""


@pytest.mark.parametrize(
    ("agent", "domains", "facts"),
    [
        (
            "DsvcBot/1.0 (+https://example.org)",
            ["example.org"],
            {"robots_verdict": "allowed", "aipref": "search=y, train-ai=n", "train_ai": "n"},
        ),
        (
            "dsvcbot",
            ["https://example.org/open/x"],
            {"robots_verdict": "allowed", "aipref": "train-ai=y", "train_ai": "y"},
        ),
        (
            "DsvcBot",
            ["example.org=120", "example.org/private/"],
            {"robots_verdict": "disallowed", "aipref": "search=y, train-ai=n", "train_ai": "n"},
        ),
        ("Other", ["example.org"], {"robots_verdict": "disallowed", "aipref": "train-ai=n", "train_ai": "n"}),
        (None, ["example.org"], {"robots_verdict": "unknown", "aipref": "train-ai=n", "train_ai": "n"}),
        ("Other", [], {"robots_verdict": "disallowed", "aipref": "train-ai=n", "train_ai": "n"}),
    ],
)
def test_robots_and_content_usage(agent: str | None, domains: list[str], facts: dict[str, str]) -> None:
    assert read_facts("robots_txt", ROBOTS, user_agent=agent, sites=sites_of(domains)) == facts


@pytest.mark.parametrize("data", [b"<!DOCTYPE html><p>gone", b"<html>"])
def test_a_page_in_place_of_robots_says_nothing(data: bytes) -> None:
    facts = read_facts("robots_txt", data, user_agent="a", sites=[Site("example.org")])
    assert facts == {"robots_verdict": "unknown"}


def test_a_snapshot_named_by_its_host_speaks_of_that_host_only() -> None:
    robots = b"User-agent: *\nDisallow: /secret\n"
    sites = sites_of(["a.org", "b.org/secret"])

    def verdict(name: str) -> str:
        return read_facts("robots_txt", robots, user_agent="x", sites=sites, name=name)["robots_verdict"]

    assert (verdict("a.org.robots.txt"), verdict("b.org/robots.txt"), verdict("robots.txt")) == (
        "allowed",
        "disallowed",
        "disallowed",
    )


@pytest.mark.parametrize(
    ("text", "domains", "facts"),
    [
        (
            '[{"location": "/", "tdm-reservation": 1, "tdm-policy": "https://example.org/p"}]',
            [],
            {"tdm_reservation": "1", "tdm_policy": "https://example.org/p"},
        ),
        ('[{"location": "/img/*", "tdm-reservation": 1}]', ["a.org/news/"], {"tdm_reservation": "0"}),
        ('[{"location": "/img/*", "tdm-reservation": 1}]', ["a.org"], {"tdm_reservation": "1"}),
        ('[{"location": "/", "tdm-reservation": 0}]', ["a.org"], {"tdm_reservation": "0"}),
        ('[{"location": "/", "tdm-reservation": "maybe"}]', ["a.org"], {"tdm_reservation": "unknown"}),
        ("[]", ["a.org"], {"tdm_reservation": "0"}),
        ("<html>", ["a.org"], {"tdm_reservation": "unknown"}),
        ('{"a": 1}', ["a.org"], {"tdm_reservation": "unknown"}),
        ("[" * 100_000, ["a.org"], {"tdm_reservation": "unknown"}),
    ],
)
def test_tdmrep(text: str, domains: list[str], facts: dict[str, str]) -> None:
    assert read_facts("tdmrep", text.encode(), user_agent=None, sites=sites_of(domains)) == facts


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        (
            "TDM-Reservation: 1\r\ntdm-policy: https://e.org/p\r\nContent-Usage: train-ai=n\r\n",
            {
                "tdm_reservation": "1",
                "tdm_policy": "https://e.org/p",
                "aipref": "train-ai=n",
                "train_ai": "n",
            },
        ),
        ('{"url": "x", "headers": {"tdm-reservation": "0"}}', {"tdm_reservation": "0"}),
        ('{"tdm-reservation": 0}\n{"tdm-reservation": 1}\n', {"tdm_reservation": "1"}),
        ("Content-Type: text/html\n", {}),
        ("Content-Usage: train-ai=y\nContent-Usage: train-ai=?0", {"aipref": "train-ai=n", "train_ai": "n"}),
    ],
)
def test_headers(text: str, facts: dict[str, str]) -> None:
    assert read_facts("headers", text.encode(), user_agent=None, sites=[]) == facts


def test_other_evidence_says_nothing() -> None:
    assert read_facts("contract", ROBOTS, user_agent="x", sites=[]) == {}
