"""Where a program is: the search that the shell makes, over a PATH that is handed down."""

from __future__ import annotations

import os
from collections.abc import Mapping


def find_program(name: str, environ: Mapping[str, str]) -> str | None:
    """Find an executable file by its name on the PATH, or by its path; None where there is none."""
    if "/" in name:
        places = [name]
    else:
        folders = environ.get("PATH", os.defpath).split(os.pathsep)
        places = [os.path.join(folder, name) for folder in folders if os.path.isabs(folder)]
    return next((place for place in places if os.path.isfile(place) and os.access(place, os.X_OK)), None)
