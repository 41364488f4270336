"""LIC-01 to LIC-07 over whole versions: each passes, fails, and is incomplete where something isn't known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dsvc.lineage.validation import Gate, Outcome
from dsvc.model.manifest import Entry
from dsvc.model.run_record import RunKind
from dsvc.model.source_record import Acquisition, LegalBasis
from dsvc.porcelain.policy.check import check
from dsvc.porcelain.policy.verdict import CheckResult
from tests.lineagekit import Lab, Made, csv
from tests.porcelain.working import Work

ROWS = 3
PACK = 'id = "lic"\nversion = "1"\ndate = "2026-11-22"\ntitle = { en = "Licences", zh = "许可" }\n' + "".join(
    f'[rules.LIC-0{n}]\nseverity = "blocking"\nstage = "release"\nclause = "x"\n' for n in range(1, 8)
)
DAY = "2026-11-22"
ROLES = """
[tables."*.csv"]
key = ["id"]
content = ["v"]
[tables."labels*.csv"]
key = ["id"]
label = ["label"]
"""
Found = set[tuple[str, str, str]]


class Tables(Lab):
    """Tables of three rows, each of a source of its own, and runs between them."""

    def __init__(self, work: Work) -> None:
        super().__init__(work)
        self._number = 0
        self.entries: dict[str, Entry] = {}

    def table(self, name: str, columns: str = "id,v", rows: int = ROWS) -> Entry:
        self._number += 1
        content = csv(
            [(row, *(f"{self._number}-{row}" for _ in columns.split(",")[1:])) for row in range(rows)],
            columns,
        )
        path = name.encode()
        self.entries[name] = self.put({path: content})[path]
        return self.entries[name]

    def raw(self, name: str, licence: str = "MIT", **fields: Any) -> Entry:
        """A file of a source that is called as the file is."""
        entry = self.table(f"{name}.csv")
        attributes = {
            each: fields.pop(each) for each in ("legal_basis", "acquisition", "title") if each in fields
        }
        record = {"license_expression": licence, "fields": {"issuer": "Org", **fields}, **attributes}
        self.source(name, [entry], record=record)
        return entry

    def make(
        self,
        name: str,
        inputs: list[Entry],
        kind: RunKind,
        columns: str = "id,v",
        changed: bool = False,
        **more: Any,
    ) -> Made:
        """A table of all rows of its inputs."""
        output = self.table(name, columns, ROWS * len(inputs))
        links = {(0, n): [(n * ROWS + row, row) for row in range(ROWS)] for n in range(len(inputs))}
        touched = {n: range(ROWS) for n in range(len(inputs))} if changed else None
        return self.run(f"make {name}", inputs, [output], links, kind=kind, changed=touched, **more)

    def check(self, gate: Gate = Gate.RELEASE) -> CheckResult:
        """Judge a version where the one before has the same policy, if there is one."""
        for _ in range(1 if self.repo.history.refs.head().commit is None else 2):
            self._number += 1
            self.put({b"lic.toml": PACK.encode(), b"change.py": str(self._number).encode()})
            self.commit()
        return check(self.repo, gate=gate, as_of=DAY)

    def judge(self, policy: str = "", gate: Gate = Gate.RELEASE) -> Found:
        """What the rules find, as (rule, subject, outcome)."""
        self.put({b"dsvc.toml": f'{ROLES}[policy]\npacks = ["lic.toml"]\n{policy}\n'.encode()})
        result = self.check(gate)
        return {
            (each.rule, each.subject.decode().split("@")[0], str(each.outcome))
            for each in result.violations
            if each.rule.startswith("LIC")
        }


@pytest.fixture
def lab(work: Work) -> Tables:
    return Tables(work)


def of(found: Found, rule: str) -> dict[str, str]:
    return {subject: outcome for each, subject, outcome in found if each == rule}


FAIL, INCOMPLETE = str(Outcome.FAIL), str(Outcome.INCOMPLETE)


def test_free_data_pass_whatever_is_done_and_nothing_need_be_said(lab: Tables) -> None:
    mit, zero = lab.raw("mit"), lab.raw("zero", "CC0-1.0", issuer="")
    lab.make("clean.csv", [mit], RunKind.CLEAN, changed=True)
    lab.make("mixed.csv", [mit, zero], RunKind.MIX)
    assert lab.judge() == set()


def test_use_for_gain_of_data_that_are_not_for_gain(lab: Tables) -> None:
    """Scenario 4: CC-BY-NC and MIT merged for the e-commerce mode."""
    nc, mit = lab.raw("nc", "CC-BY-NC-4.0"), lab.raw("mit")
    made = lab.make("merged.csv", [nc, mit], RunKind.MIX)
    lab.make("final.csv", [*made.outputs], RunKind.CLEAN)  # type: ignore[list-item]
    for policy in ('operating_mode = "ecommerce"', 'purpose = "commercial"', 'purpose = "any"'):
        found = of(lab.judge(policy), "LIC-02")
        assert found == dict.fromkeys(("nc.csv", "merged.csv", "final.csv"), FAIL), policy
    assert of(lab.judge('purpose = "research"'), "LIC-02") == {}
    assert set(of(lab.judge(), "LIC-02").values()) == {INCOMPLETE}
    assert set(of(lab.judge('purpose = "ai-pre-training"'), "LIC-02").values()) == {INCOMPLETE}


def test_share_alike_licences_that_do_not_go_together(lab: Tables) -> None:
    """Scenario 4: CC-BY-SA and CC-BY-NC-SA, in one file or beside each other."""
    sa, nc_sa = lab.raw("sa", "CC-BY-SA-4.0"), lab.raw("ncsa", "CC-BY-NC-SA-4.0")
    lab.make("mixed.csv", [sa, nc_sa], RunKind.MIX)
    lab.make("clean.csv", [sa, nc_sa], RunKind.CLEAN)
    lab.make("part.csv", [sa], RunKind.FILTER)
    lab.make("alone.csv", [sa], RunKind.CLEAN)
    research = 'purpose = "research"\n'
    both = {"mixed.csv": FAIL, "clean.csv": FAIL}
    assert of(lab.judge(research), "LIC-04") == {**both, "alone.csv": INCOMPLETE}
    assert of(lab.judge(research + 'output_license = "CC-BY-SA-4.0"'), "LIC-04") == both
    assert of(lab.judge(research + 'output_license = "CC-BY-4.0"'), "LIC-04") == {**both, "alone.csv": FAIL}
    assert of(lab.judge(research + 'output_license = "LicenseRef-x"'), "LIC-04") == {
        **both,
        "alone.csv": FAIL,
    }
    assert of(lab.judge(research + "shared = false"), "LIC-04") == {}


def test_the_licence_of_the_whole_gives_no_more_than_was_given(lab: Tables) -> None:
    nc, by = lab.raw("nc", "CC-BY-NC-4.0"), lab.raw("by", "CC-BY-4.0")
    lab.make("nc_clean.csv", [nc], RunKind.CLEAN)
    lab.make("by_clean.csv", [by], RunKind.CLEAN)
    research = 'purpose = "research"\noutput_license = '
    assert of(lab.judge(research + '"CC-BY-4.0"'), "LIC-04") == {"nc_clean.csv": FAIL}
    assert of(lab.judge(research + '"CC-BY-NC-4.0"'), "LIC-04") == {}
    assert of(lab.judge(research + '"CC0-1.0"'), "LIC-04") == {"nc_clean.csv": FAIL, "by_clean.csv": FAIL}
    assert of(lab.judge(research + '"LicenseRef-x"'), "LIC-04") == dict.fromkeys(
        ("nc_clean.csv", "by_clean.csv"), INCOMPLETE
    )


@pytest.mark.parametrize(
    ("licence", "unshared"), [("CC-BY-ND-4.0", {}), ("CC-BY-ND-3.0", {"adapted.csv": FAIL})]
)
def test_no_derivatives(lab: Tables, licence: str, unshared: Mapping[str, str]) -> None:
    """Scenario 4: labels in a file of their own pass; so does what leaves rows as they are."""
    nd = lab.raw("nd", licence)
    mit = lab.raw("mit")
    lab.make("labels.csv", [nd], RunKind.LABEL, "id,label", changed=True)
    lab.make("filtered.csv", [nd], RunKind.FILTER)
    lab.make("mixed.csv", [nd, mit], RunKind.MIX)
    assert of(lab.judge(), "LIC-03") == {}
    lab.make("adapted.csv", [nd], RunKind.CLEAN)
    assert of(lab.judge(), "LIC-03") == {"adapted.csv": FAIL}
    assert of(lab.judge("shared = false"), "LIC-03") == unshared
    lab.make("labels_inside.csv", [nd], RunKind.LABEL, "id,v,label", changed=True)
    lab.make("said_to_filter.csv", [nd], RunKind.FILTER, changed=True)
    added = {"labels_inside.csv": FAIL, "said_to_filter.csv": FAIL}
    assert of(lab.judge(), "LIC-03") == {"adapted.csv": FAIL, **added}


def test_labels_whose_columns_nobody_declared_may_hold_content(lab: Tables) -> None:
    nd = lab.raw("nd", "CC-BY-ND-4.0")
    lab.make("labels.csv", [nd], RunKind.LABEL, "id,label", changed=True)
    lab.put({b"dsvc.toml": b'[policy]\npacks = ["lic.toml"]\n'})
    result = lab.check()
    rules = {(each.rule, each.subject, each.outcome) for each in result.violations if each.rule == "LIC-03"}
    assert rules == {("LIC-03", b"labels.csv", Outcome.INCOMPLETE)}
    # A column of that name isn't there: what the content is called isn't known.
    lab.put({b"dsvc.toml": b'[tables."*.csv"]\ncontent = ["text"]\n[policy]\npacks = ["lic.toml"]\n'})
    result = lab.check()
    assert [each.outcome for each in result.violations if each.rule == "LIC-03"] == [Outcome.INCOMPLETE]


def test_what_may_not_be_made_was_made_on_the_way(lab: Tables) -> None:
    nd = lab.raw("nd", "CC-BY-ND-3.0")
    made = lab.make("gone.csv", [nd], RunKind.CLEAN)
    lab.make("labels.csv", [*made.outputs], RunKind.LABEL, "id,label", changed=True)  # type: ignore[list-item]
    lab.put({b"gone.csv": None})
    assert of(lab.judge(), "LIC-03") == {"gone.csv": FAIL}


def test_one_licence_of_a_choice_must_permit_all_of_it(lab: Tables) -> None:
    """For gain by one, adapted by the other: neither permits both."""
    source = lab.raw("either", "CC-BY-NC-4.0 OR CC-BY-ND-4.0")
    lab.make("clean.csv", [source], RunKind.CLEAN)
    assert lab.judge('purpose = "research"') == set()
    found = lab.judge('purpose = "commercial"')
    assert (of(found, "LIC-02"), of(found, "LIC-03")) == ({}, {"clean.csv": FAIL})


def test_unknown_licences_travel(lab: Tables) -> None:
    contract = lab.raw("contract", "LicenseRef-acme", legal_basis=LegalBasis.CONTRACT)
    none = lab.raw("none", "undetermined")
    mit = lab.raw("mit")
    lab.make("clean.csv", [contract], RunKind.CLEAN)
    lab.make("mixed.csv", [mit, none], RunKind.MIX)
    found = lab.judge('purpose = "research"')
    assert of(found, "LIC-01") == {"source:none": INCOMPLETE}
    assert of(found, "LIC-02") == dict.fromkeys(
        ("contract.csv", "none.csv", "clean.csv", "mixed.csv"), INCOMPLETE
    )
    assert of(found, "LIC-03") == {"clean.csv": INCOMPLETE}
    assert of(found, "LIC-04") == {"mixed.csv": INCOMPLETE, "clean.csv": INCOMPLETE}
    declared = '[policy.licences."LicenseRef-acme"]\ncommercial = "no"\nderivatives = "yes"'
    found = lab.judge(f'purpose = "research"\n{declared}')
    assert of(found, "LIC-02") == {"none.csv": INCOMPLETE, "mixed.csv": INCOMPLETE}
    assert of(found, "LIC-03") == {}
    found = lab.judge('purpose = "research"\n[policy.licences."LicenseRef-acme"]\ncomercial = "no"')
    assert {outcome for _, _, outcome in found} == {INCOMPLETE}


def test_columns_of_a_folder_are_not_known(lab: Tables) -> None:
    """Labels of a whole folder: which columns the content has is declared, but not seen to be there."""
    lab.raw("raw/nd", "CC-BY-ND-4.0")
    said = {"columns": "id,note", "kind": RunKind.LABEL}
    lab.make("labels.csv", [lab.entries["raw/nd.csv"]], **said)  # type: ignore[arg-type]
    content = 'purpose = "research"\n[tables."raw"]\ncontent = ["v"]'
    assert of(lab.judge(content), "LIC-03") == {}
    lab.run("label all", [lab.folder(b"raw")], [lab.table("notes.csv", "id,note")], kind=RunKind.LABEL)
    assert of(lab.judge(content), "LIC-03") == {"notes.csv": INCOMPLETE}


def test_what_must_be_named_says_how(lab: Tables) -> None:
    lab.raw("named", "CC-BY-4.0")
    lab.raw("holders", "CC-BY-4.0", issuer="", rightsholders=["Ann"])
    lab.raw("nameless", "CC-BY-4.0", issuer=" ")
    lab.raw("free", "CC0-1.0", issuer="")
    lab.raw("unknown", "undetermined")
    expected = {"source:nameless": INCOMPLETE, "source:unknown": INCOMPLETE}
    assert of(lab.judge('purpose = "research"'), "LIC-05") == expected
    found = lab.judge('output_license = "MIT OR CC0-1.0"')
    named = {f"source:{name}" for name in ("named", "holders", "nameless")}
    assert {subject for rule, subject, outcome in found if (rule, outcome) == ("LIC-05", FAIL)} == named
    assert of(lab.judge("shared = false"), "LIC-05") == {}


def test_terms_of_generators(lab: Tables) -> None:
    synthetic = {"acquisition": Acquisition.SYNTHETIC}
    lab.raw("fine", "MIT", generator="Good Model", **synthetic)
    lab.raw("never", "MIT", generator="Bad-Model", purposes_forbidden=["AI training"], **synthetic)
    lab.raw("other", "MIT", purposes_allowed=["evaluation"], **synthetic)
    lab.raw("unread", "LicenseRef-output-terms", **synthetic)
    seed = lab.raw("seed")
    more = {"kind": RunKind.SYNTHESIZE, "changed": True}
    made = {
        name: lab.make(f"{name}.csv", [seed], facts=facts, **more).id.hex()  # type: ignore[arg-type]
        for name, facts in {
            "by_good": {"generator": "good model"},
            "by_bad": {"generator": "bad model"},
            "by_other": {"generator": "some model"},
            "by_none": {},
        }.items()
    }
    assert of(lab.judge('purpose = "evaluation"'), "LIC-06") == {
        "source:never": FAIL,
        "source:other": FAIL,
        "source:unread": INCOMPLETE,
        f"run:{made['by_bad']}": FAIL,
        f"run:{made['by_other']}": INCOMPLETE,
        f"run:{made['by_none']}": INCOMPLETE,
    }


def test_grants_name_who_what_and_until_when(lab: Tables) -> None:
    grant = {"purposes_allowed": ["research"], "consumers_allowed": ["Lab One"], "expiry": "2027-01-01"}
    lab.raw("custom", operating_mode="custom", **grant)
    lab.raw("lacking", operating_mode="custom", purposes_allowed=["research"])
    lab.raw("ended", expiry="2026-11-21")
    lab.raw("ends", expiry=DAY)
    lab.raw("here", territory=["CN"])
    lab.raw("free")
    said = 'purpose = "research"\nconsumer = "lab-one"\nregion = "CN"\noperating_mode = "custom"'
    standing = {"source:lacking": INCOMPLETE, "source:ended": FAIL}
    assert of(lab.judge(said), "LIC-07") == standing
    assert of(lab.judge(said.replace("lab-one", "lab-two")), "LIC-07") == {**standing, "source:custom": FAIL}
    assert of(lab.judge(said.replace("CN", "US")), "LIC-07") == {**standing, "source:here": FAIL}
    guarantee = said.replace('"custom"', '"guarantee"')
    assert of(lab.judge(guarantee), "LIC-07")["source:custom"] == FAIL
    unsaid = {**standing, "source:custom": INCOMPLETE, "source:here": INCOMPLETE}
    assert of(lab.judge(), "LIC-07") == unsaid
    assert of(lab.judge(said), "LIC-02") == {"ended.csv": FAIL}


def test_settled_merges_and_unread_licences(lab: Tables, tmp_path: Path) -> None:
    entry = lab.table("both.csv")
    record = {"license_expression": "MIT", "undetermined": ("license_expression",)}
    lab.source("both", [entry], record=record)
    forged = lab.table("forged.csv")
    lab.source("forged", [forged], record={"license_expression": "NO-SUCH-LICENCE"})
    found = lab.judge('purpose = "research"')
    assert of(found, "LIC-01") == {"source:both": INCOMPLETE, "source:forged": FAIL}
    # A licence that can't be read stops the other rules, which never pass then.
    assert of(found, "LIC-02")[""] == INCOMPLETE
