"""Which releases hold something: the artifact itself, or what came of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from dsvc.lineage.graph import ArtifactNode
from dsvc.porcelain.lineage_scope import Files, LineageScope
from dsvc.porcelain.workspace import Workspace

RELEASE_REFS: Final = "refs/dsvc/releases/"
_TAGS: Final = "refs/tags/"


def releases_holding(repo: Workspace, artifacts: Collection[ArtifactNode]) -> tuple[str, ...]:
    """Names of the releases that hold an artifact, or a file that came of one, by what their tags name.

    Raises
    ------
    MissingDataError, CorruptDataError, MalformedInputError
        If the lineage of one can't be read.
    """
    wanted = set(artifacts)
    found = []
    for ref in sorted(repo.history.refs.list(RELEASE_REFS)):
        name = ref.removeprefix(RELEASE_REFS)
        tag = repo.history.refs.get(_TAGS + name)
        if tag is not None and _holds(LineageScope(repo, str(repo.history.peel(tag))), wanted):
            found.append(name)
    return tuple(found)


def _holds(scope: LineageScope, wanted: Collection[ArtifactNode]) -> bool:
    files, builder = scope.files(), scope.builder
    if any(files.has(node.path, node.digest) for node in wanted):
        return True
    below = (each for node in wanted if node in builder.graph for each in builder.graph.descendants(node))
    return any(_has(scope, files, node) for node in below if isinstance(node, ArtifactNode))


def _has(scope: LineageScope, files: Files, node: ArtifactNode) -> bool:
    return any(files.has(member.path, member.digest) for member in scope.builder.files(node))
