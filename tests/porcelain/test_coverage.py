"""What covers a path at a commit: sources, runs, copies; and what a commit says or refuses."""

from __future__ import annotations

import os

import pytest

from dsvc.lineage.lineage_rules import PROJECT, LineageRulesError
from dsvc.model.errors import LineageBrokenError, PolicyDeniedError, PolicyIncompleteError
from dsvc.model.source_record import Status
from dsvc.porcelain.state.values import CommitResult
from tests.lineagekit import Folder, Lab, csv, numbered
from tests.porcelain.working import Work, link


@pytest.fixture
def lab(work: Work) -> Lab:
    return Lab(work)


def commit(lab: Lab, **options: bool) -> CommitResult:
    lab.repo.add(all=True)
    return lab.repo.commit("data", **options)


def uncovered(lab: Lab) -> dict[str, str]:
    """Messages of what `check` finds uncovered, by subject."""
    found = lab.repo.check("HEAD").violations
    return {each.subject.decode(): each.message for each in found if each.rule == "SRC-01"}


def test_without_lineage_data_is_counted_and_code_is_not(lab: Lab) -> None:
    names = [
        "数据.csv",
        "a/b.bin",
        "run.py",
        "a/README.md",
        "docs/x.csv",
        "dsvc.toml",
        "a/.dsvcignore",
        "LICENSE",
    ]
    lab.work.write({name.encode(): name.encode() for name in names if name != "dsvc.toml"})
    lab.work.write({b"dsvc.toml": b"", b"to": link(b"a/b.bin"), b"empty": ("folder", b"")})
    result = commit(lab)
    assert (result.uncovered, result.uncovered_path, result.verdict) == (2, b"a/b.bin", None)
    assert set(uncovered(lab)) == {"a/b.bin", "数据.csv"}


def test_only_what_a_commit_brings_is_counted(lab: Lab) -> None:
    lab.put({b"a.csv": b"1", b"b.csv": b"2"})
    assert commit(lab).uncovered == 2
    lab.put({b"b.csv": b"3"})
    assert commit(lab).uncovered == 1
    lab.work.write({b"a.csv": None})
    assert commit(lab).uncovered == 0


def test_many_paths_are_not_counted_to_the_end(lab: Lab) -> None:
    lab.work.write({b"%04d.txt" % number: b"%d" % number for number in range(1001)})
    result = commit(lab)
    assert (result.uncovered, result.uncovered_is_least) == (1000, True)


def test_a_source_covers_files_as_they_were(lab: Lab) -> None:
    files = lab.put({b"raw/a.csv": b"1", b"raw/b.csv": b"2", b"rawer.csv": b"3"})
    lab.source("web", [files[b"raw/a.csv"], files[b"raw/b.csv"]], covers=[b"raw"])
    assert commit(lab).uncovered == 1
    lab.put({b"raw/b.csv": b"22", b"raw/c.csv": b"4"})
    assert commit(lab).uncovered == 2
    found = lab.repo.check("HEAD").violations
    assert uncovered(lab) == {
        "raw/b.csv": "raw/b.csv is not as it was when source web attested it",
        "raw/c.csv": "raw/c.csv is not as it was when source web attested it",
        "rawer.csv": "rawer.csv has no source",
    }
    assert {each.hint for each in found if each.subject.startswith(b"raw/")} == {
        "dsvc source update web attests it as it is now"
    }


def test_what_a_source_attested_before_stays_covered(lab: Lab) -> None:
    first = lab.put({b"raw.csv": numbered(3)})[b"raw.csv"]
    lab.source("web", [first])
    clean = lab.put({b"clean.csv": numbered(2)})[b"clean.csv"]
    lab.run("clean", [first], [clean], {(0, 0): [(0, 0), (1, 1)]})
    assert commit(lab).uncovered == 0
    second = lab.put({b"raw.csv": numbered(4)})[b"raw.csv"]
    lab.source("web", [second])
    assert commit(lab).uncovered == 0
    assert uncovered(lab) == {}
    assert lab.repo.check("HEAD").outcome == "PASS"


def test_longest_path_wins(lab: Lab) -> None:
    files = lab.put({b"d/x/a.csv": b"1", b"d/b.csv": b"2"})
    lab.source("wide", list(files.values()), covers=[b"d"])
    lab.source("narrow", [], covers=[b"d/x"])
    commit(lab)
    assert uncovered(lab) == {"d/x/a.csv": "d/x/a.csv is not as it was when source narrow attested it"}


def test_of_equal_paths_one_is_enough_and_the_strictest_counts(lab: Lab) -> None:
    entry = lab.put({b"a.csv": b"1"})[b"a.csv"]
    lab.source("one", [], covers=[b"a.csv"])
    lab.source("two", [entry])
    commit(lab)
    assert lab.repo.check("HEAD").outcome == "PASS"
    lab.source("one", [entry], status=Status.WITHDRAWN)
    assert [each.rule for each in lab.repo.check("HEAD").violations] == ["LIN-02"]


def test_a_run_covers_what_it_made_and_its_input_needs_a_source(lab: Lab) -> None:
    files = lab.put({b"raw.csv": numbered(2), b"clean.csv": numbered(1)})
    lab.run("clean", [files[b"raw.csv"]], [files[b"clean.csv"]], {(0, 0): [(0, 0)]})
    lab.work.write({b"raw.csv": None})
    result = commit(lab)
    assert (result.uncovered, result.uncovered_path) == (1, b"raw.csv")
    name = f"raw.csv@{files[b'raw.csv'].digest.hex()}"
    assert uncovered(lab) == {name: "raw.csv has no source; run clean read it"}


def test_an_output_that_was_edited_is_not_covered(lab: Lab) -> None:
    files = lab.put({b"raw.csv": numbered(2), b"clean.csv": numbered(1)})
    lab.source("web", [files[b"raw.csv"]])
    made = lab.run("clean", [files[b"raw.csv"]], [files[b"clean.csv"]], {(0, 0): [(0, 0)]})
    assert commit(lab).uncovered == 0
    lab.put({b"clean.csv": csv([(0, "edited")])})
    commit(lab)
    (found,) = lab.repo.check("HEAD").violations
    assert found.message == f"clean.csv was edited after run {made.id.hex()[:12]} made it"
    assert "run --manual" in str(found.hint)


def test_a_run_that_read_nothing_needs_a_source(lab: Lab) -> None:
    entry = lab.put({b"made.csv": numbered(2)})[b"made.csv"]
    lab.run("fetch", [], [entry])
    assert commit(lab).uncovered == 1
    lab.source("self", [entry])
    assert lab.repo.check("HEAD").outcome == "PASS"


def test_copies_inherit_but_empty_files_do_not(lab: Lab) -> None:
    files = lab.put({b"raw/a.csv": numbered(2), b"raw/none": b"", b"b/c/a.csv": numbered(2), b"none": b""})
    lab.source("web", [files[b"raw/a.csv"], files[b"raw/none"]])
    commit(lab)
    assert set(uncovered(lab)) == {"none"}
    lab.work.write({b"raw": None, b"none": None})
    commit(lab)
    assert uncovered(lab) == {}
    lab.source("web", [files[b"raw/a.csv"]], status=Status.WITHDRAWN)
    assert [each.subject for each in lab.repo.check("HEAD").violations] == [b"b/c/a.csv"]


def test_rows_are_covered_by_the_union_of_sources(lab: Lab) -> None:
    entry = lab.put({b"a.csv": numbered(10)})[b"a.csv"]
    lab.source("one", [entry], rows={b"a.csv": range(6)})
    lab.source("two", [entry], rows={b"a.csv": [5, 6, 7]})
    commit(lab)
    assert uncovered(lab) == {"a.csv": "no source covers 2 of 10 rows of a.csv"}
    lab.source("two", [entry], rows={b"a.csv": [6, 7, 8, 9]})
    assert uncovered(lab) == {}


def test_project_files_are_data_where_a_run_reads_or_a_source_covers_them(lab: Lab) -> None:
    files = lab.put({b"rules.yaml": b"a: 1", b"x/README": b"x", b"out.csv": numbered(1), b"other.yaml": b""})
    lab.run("use", [files[b"rules.yaml"]], [files[b"out.csv"]])
    lab.source("web", [], covers=[b"x"])
    commit(lab)
    assert set(uncovered(lab)) == {"rules.yaml", "x/README"}


def test_project_globs_of_the_version_count(lab: Lab) -> None:
    lab.put({b"dsvc.toml": b'[lineage]\nproject = ["*.log", "notes/"]\n', b"a.log": b"", b"b.py": b"x"})
    lab.put({b"notes/c.csv": b"x"})
    assert commit(lab).uncovered == 1
    assert set(uncovered(lab)) == {"b.py"}


def test_a_file_that_is_no_toml_may_name_a_policy_and_lets_nothing_in(lab: Lab) -> None:
    lab.put({b"dsvc.toml": b"[lineage", b"a.csv": b"1"})
    with pytest.raises(LineageRulesError):
        commit(lab)
    lab.repo.commit("all the same", no_verify=True)
    with pytest.raises(LineageRulesError):
        lab.repo.check("HEAD")


@pytest.mark.parametrize("text", ["lineage = 1", "[lineage]\nproject = 'x'"])
def test_rules_that_cannot_be_read_stop_a_check(lab: Lab, text: str) -> None:
    lab.put({b"dsvc.toml": text.encode(), b"a.csv": b"1"})
    result = commit(lab)
    assert result.warnings
    with pytest.raises(LineageRulesError):
        lab.repo.check("HEAD")


@pytest.mark.parametrize("text", ["[policy]\npacks = [1]", '["pol\\u0069cy"]\npaks = ["default"]'])
def test_a_policy_that_cannot_be_read_lets_nothing_in(lab: Lab, text: str) -> None:
    lab.put({b"dsvc.toml": text.encode()})
    with pytest.raises(PolicyIncompleteError):
        commit(lab)
    lab.repo.commit("all the same", no_verify=True)
    result = lab.repo.check("HEAD")
    assert (result.outcome, [each.rule for each in result.violations]) == ("INCOMPLETE", ["POLICY"])


def test_folders_are_covered_file_by_file(lab: Lab) -> None:
    lab.put({b"in/a.jpg": b"1", b"in/b.jpg": b"2", b"out/a.jpg": b"3", b"out/b.jpg": b"4"})
    lab.source("web", [lab.folder(b"in")])
    made = lab.folder(b"out")
    lab.run("crop", [lab.folder(b"in")], [made], {(0, 0): [(0, 0), (1, 1)]})
    assert commit(lab).uncovered == 0
    lab.put({b"out/c.jpg": b"5"})
    assert commit(lab).uncovered == 1
    assert isinstance(made, Folder)
    assert set(uncovered(lab)) == {"out/c.jpg"}


# Where a policy is named

POLICY = b'[policy]\npacks = ["default"]\n'


def test_a_policy_refuses_and_lists(lab: Lab) -> None:
    lab.put({b"dsvc.toml": POLICY, **{b"%02d.csv" % number: b"%d" % number for number in range(12)}})
    with pytest.raises(LineageBrokenError) as caught:
        commit(lab)
    assert caught.value.exit_code == 22
    assert caught.value.message.count("has no source") == 10
    assert "and 2 more" in caught.value.message
    assert lab.repo.history.refs.head().commit is None
    assert commit(lab, no_verify=True).verdict is None
    trailers = dict(lab.repo.show().commit.trailers)
    assert trailers["Dsvc-No-Verify"] == "true"


def test_what_was_there_before_is_no_reason_to_refuse(lab: Lab) -> None:
    raw = lab.put({b"raw.csv": numbered(2)})[b"raw.csv"]
    commit(lab)
    lab.put({b"dsvc.toml": POLICY})
    assert commit(lab).verdict == "PASS"
    clean = lab.put({b"clean.csv": numbered(1)})[b"clean.csv"]
    lab.run("clean", [raw], [clean], {(0, 0): [(0, 0)]})
    assert commit(lab).verdict == "PASS"
    assert set(uncovered(lab)) == {"raw.csv"}


def test_a_commit_cannot_drop_its_own_policy(lab: Lab) -> None:
    lab.put({b"dsvc.toml": POLICY})
    commit(lab)
    lab.put({b"dsvc.toml": b"", b"a.csv": b"1"})
    with pytest.raises(LineageBrokenError):
        commit(lab)


def test_a_withdrawn_source_covers_nothing_new(lab: Lab) -> None:
    lab.put({b"dsvc.toml": POLICY})
    commit(lab)
    raw = lab.put({b"raw.csv": numbered(2)})[b"raw.csv"]
    lab.source("web", [raw], status=Status.WITHDRAWN)
    with pytest.raises(PolicyDeniedError, match="not in force"):
        commit(lab)


def test_fast_globs_are_those_of_gitignore(lab: Lab) -> None:
    from pathspec import GitIgnoreSpec

    from dsvc.lineage.lineage_rules import LineageRules

    spec, rules = GitIgnoreSpec.from_lines(PROJECT), LineageRules()
    words = [
        "a.py",
        "docs",
        "README",
        "README.csv",
        "LICENSE",
        "LICENCE.txt",
        "LICENXE",
        "Makefile",
        "Makefile2",
    ]
    words += [
        "x.yaml",
        "d",
        "数据.csv",
        "b.py.csv",
        ".py",
        "a.PY",
        "docs2",
        "x.toml",
        "é.yml",
        "q.ipynb",
        "s.sql",
    ]
    for first in words:
        for second in ["", *words]:
            for third in ["", *words]:
                path = "/".join(word for word in (first, second, third) if word)
                assert rules.is_project(path.encode()) == spec.match_file(path), path


# Sources that go on


def test_an_ongoing_source_attests_what_comes(lab: Lab) -> None:
    lab.put({b"live/a.csv": numbered(1), b"dsvc.toml": POLICY, "合同.txt".encode(): b"contract"})
    fields = {"title": "源", "acquisition": "api", "legal_basis": "contract", "license_expression": "MIT"}
    contract = os.path.join(lab.repo.root, "合同.txt")
    lab.repo.source_add("feed", [b"live"], fields={**fields, "ongoing": True}, evidence=[contract])
    commit(lab)
    lab.put({b"live/b.csv": numbered(2), b"live/a.csv": numbered(3)})
    result = commit(lab)
    assert (result.verdict, result.uncovered) == ("PASS", 0)
    operations = [step.verb for step in lab.repo.source("feed").history]
    assert operations[0] == "batch"
    assert lab.repo.check().outcome == "PASS"
    lab.put({b"elsewhere.csv": numbered(4)})
    with pytest.raises(LineageBrokenError):
        commit(lab)
    assert [step.verb for step in lab.repo.source("feed").history] == operations


def test_a_batch_goes_back_with_its_commit(lab: Lab) -> None:
    lab.put({b"live/a.csv": numbered(1)})
    fields = {"title": "feed", "acquisition": "api", "legal_basis": "contract", "license_expression": "MIT"}
    lab.repo.source_add("feed", [b"live"], fields={**fields, "ongoing": True})
    commit(lab)
    before = lab.repo.history.refs.get("refs/dsvc/sources/feed")
    lab.put({b"live/b.csv": numbered(2)})
    commit(lab)
    assert lab.repo.history.refs.get("refs/dsvc/sources/feed") != before
    lab.repo.undo()
    assert lab.repo.history.refs.get("refs/dsvc/sources/feed") == before
