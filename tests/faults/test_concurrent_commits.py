"""Many processes on one repository: one winner each time, nothing lost, readers never wrong."""

from __future__ import annotations
