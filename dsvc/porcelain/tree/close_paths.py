"""Which paths of a version may have been meant by one that it doesn't have."""

from __future__ import annotations

from itertools import islice
from typing import Final

from dsvc.model.paths import fold
from dsvc.store.manifest_ranges import children
from dsvc.store.manifest_tree import Manifest

_MAX_NAMES: Final = 5000
"""Names of a folder that are looked through for one that was meant."""


def close_paths(manifest: Manifest, path: bytes) -> list[bytes]:
    """Paths that may have been meant: close to the first part that isn't there, with the rest if it fits."""
    from difflib import get_close_matches

    names = path.split(b"/")
    folder = b""
    for depth, name in enumerate(names):
        below = folder + b"/" + name if folder else name
        if depth + 1 < len(names) and next(manifest.entries(below), None) is not None:
            folder = below
            continue
        listed = {fold(c.path): c.path for c in islice(children(manifest, folder), _MAX_NAMES)}
        meant = [listed[n] for n in get_close_matches(fold(below), listed, n=3, cutoff=0.6)]
        rest = names[depth + 1 :]
        fitting = [b"/".join([found, *rest]) for found in meant]
        exact = [found for found in fitting if next(manifest.entries(found), None) is not None]
        return exact or meant
    return []
