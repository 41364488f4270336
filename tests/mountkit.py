"""Mounts for the length of a block; a test is skipped where nothing can be mounted."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(*words: str, at: Path) -> Iterator[Path]:
    """Mount at a folder by words of ``mount``."""
    done = subprocess.run(["mount", *words, str(at)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


@contextmanager
def bound(source: Path, at: Path) -> Iterator[Path]:
    """Show a folder at another place."""
    with mounted("--bind", str(source), at=at) as there:
        yield there


@contextmanager
def in_memory(at: Path, size: str = "512m") -> Iterator[Path]:
    """A file system of its own, in memory."""
    with mounted("-t", "tmpfs", "-o", f"size={size}", "tmpfs", at=at) as there:
        yield there


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """A folder that can't be written for a while."""
    with bound(folder, folder):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True, capture_output=True)
        yield folder
