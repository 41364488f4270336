"""The power is cut under a repository on ext4 and xfs: what was acknowledged is there afterwards."""

from __future__ import annotations
