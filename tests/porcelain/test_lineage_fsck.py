"""fsck names what is wrong with runs and sources, and nothing else."""

from __future__ import annotations

import msgspec
import pytest

from dsvc.lineage.lineage_tree import LineageTree
from dsvc.lineage.source_tree import store_part
from dsvc.model.manifest import tree_entry
from dsvc.model.run_record import RunId
from dsvc.model.source_record import Evidence, encode_source
from dsvc.porcelain.state.commit_lineage import lineage_of
from dsvc.store.defects import exit_code
from dsvc.store.manifest_tree import Manifest
from tests.lineagekit import Lab
from tests.porcelain.test_check import altered, chain, with_
from tests.porcelain.test_commit_lineage import commit_of
from tests.porcelain.working import Work


@pytest.fixture
def lab(work: Work) -> Lab:
    return Lab(work)


def defects(lab: Lab) -> tuple[int, set[tuple[str, str]]]:
    """Exit code and defects, but for the totals that forged commits don't have."""
    found = [each for each in lab.work.reopen().fsck().defects if each.id != "F044"]
    return exit_code(found), {(each.id, each.object.split(":")[0]) for each in found}


def test_whole_lineage_has_none(lab: Lab) -> None:
    chain(lab)
    assert defects(lab) == (0, set())
    lab.commit()
    assert defects(lab) == (0, set())


@pytest.mark.parametrize(
    ("parts", "number"),
    [
        ({"maps__0_0": b"no map"}, "F062"),
        ({"maps__0_1": b"no map"}, "F062"),
        ({"rows__0": b"no account"}, "F063"),
        ({"rows__0": None}, "F063"),
    ],
)
@pytest.mark.parametrize("committed", [False, True])
def test_broken_parts_of_a_run(
    lab: Lab, parts: dict[str, bytes | None], number: str, committed: bool
) -> None:
    _files, clean, _final = chain(lab)
    altered(lab, clean, with_(), **parts)
    if committed:
        lab.commit()
    assert defects(lab) == (22, {(number, "run")})


def test_a_record_of_other_files(lab: Lab) -> None:
    _files, clean, _final = chain(lab)
    altered(
        lab,
        clean,
        lambda run: msgspec.structs.replace(
            run, inputs=(msgspec.structs.replace(run.inputs[0], digest=bytes(32)),)
        ),
    )
    assert defects(lab) == (22, {("F061", "run")})


def forged(lab: Lab, path: bytes, root: bytes) -> None:
    """Commit a lineage that names something under a path."""
    head = lab.commit()
    lineage = lineage_of(lab.repo, head).manifest
    made = lineage.update([(path, tree_entry(path, root))])
    commit_of(lab.work, lab.repo.manifest_of("HEAD").root, made)


def test_a_run_under_another_name(lab: Lab) -> None:
    _files, clean, _final = chain(lab)
    forged(lab, b"runs/" + b"0" * 64, clean.id)
    assert defects(lab) == (22, {("F066", "lineage")})


def test_what_is_no_run(lab: Lab) -> None:
    chain(lab)
    root = bytes(lab.repo.staged().root)
    forged(lab, b"runs/" + root.hex().encode(), root)
    assert defects(lab) == (22, {("F060", "run")})


def test_a_run_that_is_missing_is_missing_first(lab: Lab) -> None:
    chain(lab)
    head = lab.commit()
    root = LineageTree(lab.repo.store, lineage_of(lab.repo, head).root).extended([RunId(b"x" * 32)], {})
    commit_of(lab.work, lab.repo.manifest_of("HEAD").root, root)
    code, found = defects(lab)
    assert code == 31
    assert ("F060", "run") in found


def test_a_source_of_another_name(lab: Lab) -> None:
    chain(lab)
    tree = lineage_of(lab.repo, lab.commit()).source("web")
    assert tree is not None
    forged(lab, b"sources/other", tree.root)
    assert defects(lab) == (22, {("F064", "source")})


def test_evidence_that_is_gone(lab: Lab) -> None:
    chain(lab)
    tree = lineage_of(lab.repo, lab.commit()).source("web")
    assert tree is not None
    evidence = Evidence(type="licence_text", name="LICENSE", digest=bytes(32), size=3)
    record = msgspec.structs.replace(tree.record, evidence=(evidence,))
    entry = msgspec.structs.replace(store_part(lab.repo.store, encode_source(record)), path=b"record")
    forged(lab, b"sources/web", Manifest(lab.repo.store, tree.root, trees=True).update([(b"record", entry)]))
    assert defects(lab) == (22, {("F065", "source")})
