"""A result file in JSON that a tool wrote, as it is and changed, read by its importer."""

from __future__ import annotations

import copy
import io
import json
from dataclasses import dataclass
from typing import Any

from dsvc.feedback.importers.importer import Imported, Importer, ImportOptions
from dsvc.model.feedback import Sample


@dataclass(frozen=True)
class ToolDocument:
    """A document, and the importer of the tool that wrote it."""

    importer: Importer
    document: Any

    def read(self, document: Any) -> Imported:
        data = json.dumps(document).encode()
        return self.importer.read(lambda: io.BytesIO(data), ImportOptions())

    def samples(self, document: Any) -> list[Sample]:
        return list(self.read(document).samples)

    def changed(self, *path: str | int, to: Any) -> Any:
        """Copy the document, with another value at a place in it."""
        document = copy.deepcopy(self.document)
        inner: Any = document
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = to
        return document
