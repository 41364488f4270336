"""Rights: whether who may use a file is clear, disputed or undetermined, by all that it comes from.

One source of which that isn't known is enough: what was mixed can't be told apart again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

from dsvc.lineage.descent import Descent
from dsvc.lineage.graph import ArtifactNode
from dsvc.lineage.known_sources import KnownSource

_FIELD = "rights_status"


class Rights(StrEnum):
    """Whether the rights in data are settled, the better first."""

    CLEAR = "clear"
    DISPUTED = "disputed"
    UNDETERMINED = "undetermined"


_ORDER = tuple(Rights)


def join(rights: Iterable[Rights]) -> Rights:
    """Give the worst of some rights; of none, what spoils nothing."""
    return max(rights, key=_ORDER.index, default=Rights.CLEAR)


def parse_rights(text: object) -> Rights:
    """Read what a source states; nothing, and what is no status, is undetermined."""
    try:
        return Rights(str(text))
    except ValueError:
        return Rights.UNDETERMINED


def rights_of_source(source: KnownSource) -> Rights:
    """Rights that a source states: the worst of what was pinned and what is known now."""
    return join(
        Rights.UNDETERMINED if _FIELD in record.undetermined else parse_rights(record.fields.get(_FIELD))
        for record in source.records
    )


def rights_of(
    sources: Mapping[str, KnownSource], descents: Mapping[ArtifactNode, Descent]
) -> dict[ArtifactNode, Rights]:
    """Rights in files by what they descend from; where a way back ends without a source: undetermined."""
    stated = {name: rights_of_source(source) for name, source in sources.items()}
    known: dict[Descent, Rights] = {}
    found = {}
    for node, descent in descents.items():
        if descent not in known:
            least = join(stated[name] for name in descent.sources)
            known[descent] = least if descent.whole else Rights.UNDETERMINED
        found[node] = known[descent]
    return found
