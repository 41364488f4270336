"""Which judged files have labels, as far as lineage says so."""

from __future__ import annotations
