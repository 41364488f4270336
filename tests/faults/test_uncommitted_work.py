"""Work that is not committed: commands refuse to overwrite it, or store it first."""

from __future__ import annotations
