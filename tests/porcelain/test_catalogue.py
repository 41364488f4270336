"""Finding data: the one pass over a version answers as a trace of each file does."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from dsvc.lineage.grades import Grade
from dsvc.lineage.license_text import LicenseExpressionError
from dsvc.lineage.rights import Rights
from dsvc.lineage.source_values import SourceFieldError
from dsvc.lineage.stages import Stage
from dsvc.model.errors import NotFoundError, UsageError
from dsvc.porcelain.lineage.catalogue import Found
from dsvc.porcelain.records.source_chain import NoSuchSourceError
from tests.lineagekit import Lab, numbered
from tests.porcelain.working import Work

FIELDS = {"acquisition": "open_dataset", "legal_basis": "licence", "license_expression": "CC-BY-4.0"}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(Work(tmp_path / "数据"))


def attest(lab: Lab, name: str, paths: list[bytes], **fields: str) -> None:
    lab.repo.source_add(name, paths, fields={**FIELDS, "title": name, **fields})


def names(found: list[Found]) -> list[str]:
    return [each.entry.path.decode() for each in found]


def chain(lab: Lab) -> None:
    """Two sources, what was made of each and of both, a file without lineage, a second version."""
    put = lab.put(
        {
            b"raw/a.csv": numbered(3, "a"),
            "raw/乙.csv".encode(): numbered(4, "b"),
            b"clean/a.csv": numbered(2, "ca"),
            b"mix.csv": numbered(5, "mix"),
            b"orphan.csv": numbered(1, "orphan"),
            b"read.py": b"print()\n",
        }
    )
    attest(lab, "open", [b"raw/a.csv"], rights_status="clear", supply_type="public")
    attest(
        lab,
        "网页",
        ["raw/乙.csv".encode()],
        license_expression="MIT OR Apache-2.0",
        supply_type="互联网",
        grade="重要",
        rights_status="disputed",
    )
    lab.run("clean", [put[b"raw/a.csv"]], [put[b"clean/a.csv"]])
    lab.run("mix", [put[b"clean/a.csv"], put["raw/乙.csv".encode()]], [put[b"mix.csv"]])
    lab.repo.commit("one")


def test_files_are_found_by_what_they_descend_from(lab: Lab) -> None:
    chain(lab)
    find = lab.repo.find
    assert names(find(source="open")) == ["clean/a.csv", "mix.csv", "raw/a.csv"]
    assert names(find(source="网页")) == ["mix.csv", "raw/乙.csv"]
    assert names(find(licence="cc-by-4.0")) == ["clean/a.csv", "mix.csv", "raw/a.csv"]
    assert names(find(licence="MIT")) == names(find(licence="MIT OR Apache-2.0")) == ["mix.csv", "raw/乙.csv"]
    assert names(find(licence="GPL-3.0-only")) == []
    assert (
        names(find(supply_type="internet")) == names(find(supply_type="互联网")) == ["mix.csv", "raw/乙.csv"]
    )
    assert names(find(grade="important")) == ["mix.csv", "raw/乙.csv"]
    assert names(find(source="open", grade="important")) == ["mix.csv"]
    assert names(find(source="open", grade="一般", stage="sourced", path=b"raw")) == ["raw/a.csv"]
    assert names(find(grade="general")) == ["clean/a.csv", "raw/a.csv"]  # what has no lineage isn't found
    mixed = next(each for each in find(source="open") if each.entry.path == b"mix.csv")
    assert mixed.sources == ("open", "网页")
    assert mixed.licences == ("CC-BY-4.0", "MIT OR Apache-2.0")
    assert (mixed.grade, mixed.stage, mixed.rights) == (Grade.IMPORTANT, Stage.SOURCED, Rights.DISPUTED)


def test_rights_that_a_source_doesn_t_state_are_undetermined_downstream(lab: Lab) -> None:
    chain(lab)
    lab.repo.source_set("open", fields={"rights_status": None})
    rights = {each.entry.path: each.rights for each in lab.repo.find()}
    assert rights == {
        b"raw/a.csv": Rights.UNDETERMINED,
        b"clean/a.csv": Rights.UNDETERMINED,
        b"mix.csv": Rights.UNDETERMINED,
        "raw/乙.csv".encode(): Rights.DISPUTED,
    }
    assert lab.repo.trace("mix.csv").rights is Rights.UNDETERMINED
    lab.repo.source_set("open", fields={"rights_status": "clear"})
    assert lab.repo.trace("clean/a.csv").rights is Rights.CLEAR
    assert lab.repo.trace("orphan.csv").rights is Rights.UNDETERMINED


def test_a_licence_that_was_changed_is_found_by_both(lab: Lab) -> None:
    chain(lab)
    lab.repo.source_set("open", fields={"license_expression": "CC0-1.0"})
    found = lab.repo.find(licence="CC0-1.0")
    assert names(found) == names(lab.repo.find(licence="CC-BY-4.0"))
    assert found[0].licences == ("CC-BY-4.0", "CC0-1.0")


def test_each_version_has_its_own_files(lab: Lab) -> None:
    chain(lab)
    put = lab.put({b"later.csv": numbered(9, "later"), b"mix.csv": None})
    raw = lab.repo.manifest_of("HEAD").get(b"raw/a.csv")
    assert raw is not None
    lab.run("later", [raw], [put[b"later.csv"]])
    later = ["clean/a.csv", "later.csv", "raw/a.csv"]
    assert names(lab.repo.find(source="open")) == ["clean/a.csv", "mix.csv", "raw/a.csv"]
    assert names(lab.repo.find("STAGED", source="open")) == later
    assert names(lab.repo.find("WORKTREE", source="open")) == later
    lab.repo.commit("two")
    assert names(lab.repo.find("HEAD", source="open")) == later
    assert names(lab.repo.find("HEAD~1", source="open")) == ["clean/a.csv", "mix.csv", "raw/a.csv"]


def test_without_lineage_nothing_matches(lab: Lab) -> None:
    lab.put({b"a.csv": numbered(1)})
    lab.repo.commit("one")
    assert (
        lab.repo.find(source="web") == lab.repo.find(grade="general") == lab.repo.find(stage="planned") == []
    )


def test_what_there_is_not_is_said(lab: Lab) -> None:
    chain(lab)
    with pytest.raises(NoSuchSourceError) as caught:
        lab.repo.find(source="opn")
    assert "open" in str(caught.value.hint)
    for kind, asked in (
        (SourceFieldError, {"grade": "secret"}),
        (SourceFieldError, {"supply_type": "private"}),
        (LicenseExpressionError, {"licence": "CC-BY-4"}),
        (UsageError, {"stage": "labelled"}),
    ):
        with pytest.raises(kind):
            lab.repo.find(**asked)  # type: ignore[arg-type]
    for rev, path in (("HEAD", b"nowhere"), ("nowhere", b"")):
        with pytest.raises(NotFoundError):
            lab.repo.find(rev, path, grade="core")


@pytest.mark.parametrize("seed", range(6))
def test_one_pass_answers_as_a_trace_of_each_file(lab: Lab, seed: int) -> None:
    rng = random.Random(seed)
    put = lab.put({b"%02d.csv" % n: numbered(2, f"{seed}-{n}") for n in range(14)})
    entries = [put[b"%02d.csv" % n] for n in range(14)]
    for number, entry in enumerate(entries[:4]):
        status = rng.choice([{}, {"rights_status": "clear"}, {"rights_status": "disputed"}])
        attest(lab, f"s{number}", [entry.path], **status)
    # Some files are made of earlier ones, some of two runs, some of nothing.
    for number in range(5, 14):
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            lab.run(f"r{number}", rng.sample(entries[:number], rng.randint(1, 3)), [entries[number]])
    copy = lab.put({b"copy.csv": numbered(2, f"{seed}-8")})[b"copy.csv"]
    lab.repo.commit("all")
    found = {each.entry.path: each for each in lab.repo.find()}
    for entry in [*entries, copy]:
        trace = lab.repo.trace(entry.path.decode())
        each = found.get(entry.path)
        assert [source.source.id for source in trace.sources] == list(each.sources if each else ())
        assert trace.rights is (each.rights if each else Rights.UNDETERMINED)


def test_listed_entries_are_those_of_the_version(lab: Lab) -> None:
    chain(lab)
    assert lab.repo.find(source="网页")[0].entry == lab.repo.manifest_of("HEAD").get(b"mix.csv")
