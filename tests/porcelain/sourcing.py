"""What the tests of sources share."""

from __future__ import annotations

from dsvc.lineage.source_tree import SourceTree, covered_rows
from dsvc.porcelain.records import source_chain
from dsvc.porcelain.sources.sources import Source
from tests.porcelain.working import Work

BASIC = {
    "title": "网页语料",
    "acquisition": "open_dataset",
    "legal_basis": "licence",
    "license_expression": "CC-BY-4.0",
}


def add(work: Work, source_id: str = "网页-2024", paths: list[bytes] | None = None, **more: object) -> Source:
    fields = {**BASIC, **more.pop("fields", {})}  # type: ignore[dict-item]
    return work.repo.source_add(source_id, paths or [b"raw"], fields=fields, **more)  # type: ignore[arg-type]


def tree(work: Work, source_id: str = "网页-2024") -> SourceTree:
    return source_chain.head(work.repo, source_id).tree


TABLE = "id,src,n\n1,甲,5\n2,乙,6\n3,甲,\n4,,8\n"


def rows(work: Work, source_id: str, path: bytes) -> list[int] | None:
    found = covered_rows(tree(work, source_id), path)
    return None if found is None else found.tolist()
