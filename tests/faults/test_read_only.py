"""F21: what can't be written is read, without one attempt to write it; what would change it is refused."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from dsvc.testing.faults import run_in_child, tried
from tests.mountkit import read_only
from tests.outside import watched
from tests.verbkit import Whole, dsvc, everything, lay_out


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tmp_path_factory.mktemp("read-only"))


def be_ordinary() -> None:
    """Go on as a user who may do no more than the permission bits say.

    A user of another id might not be let in where Python itself is, or this checkout.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # PR_SET_SECUREBITS: what it starts gets no privileges back for being root.
    done = libc.prctl(28, ctypes.c_ulong(0b11), 0, 0, 0)
    version_3 = struct.pack("<Ii", 0x20080522, 0)
    if done or libc.capset(version_3, bytes(24)):
        raise OSError(ctypes.get_errno(), "the privileges of root can't be dropped")


def take_permission(root: Path) -> None:
    for folder, names, files in os.walk(root):
        for name in [*names, *files]:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & ~0o222)
    root.chmod(0o555)


@pytest.mark.parametrize("how", ["mounted read-only", "without permission"])
def test_f21_reading_verbs_work_and_try_to_write_nothing(whole: Whole, fast_path: Path, how: str) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount, and drop what it may do")
    root, home = lay_out(whole, fast_path), fast_path / "home"
    home.mkdir()
    if how == "without permission":
        # Nothing is there that was worked out before.
        shutil.rmtree(root / ".dsvc/cache")
        (root / ".dsvc/cache").mkdir()
        take_permission(root)
    before = everything(root)
    verbs = whole.reading()
    cases: dict[str, Callable[[], object]] = {
        " ".join(words): partial(dsvc, root, *words) for _, words in verbs
    }
    if how == "mounted read-only":
        with read_only(root):
            found = watched(cases, home, kind="disk states", seconds=20)
    else:
        found = watched({"begin": be_ordinary, **cases}, home, kind="disk states", seconds=20)
    wrong = {
        name: found[name].output
        for (code, _), name in zip(verbs, cases, strict=True)
        if found[name].value != code
    }
    assert not wrong, wrong
    assert everything(root) == before


@pytest.mark.parametrize("how", ["mounted read-only", "without permission", "only .dsvc is read-only"])
def test_f21_changing_verbs_are_refused_and_nothing_changes(whole: Whole, fast_path: Path, how: str) -> None:
    """Also where the working tree could be written: a refusal comes before the first change of it."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount, and drop what it may do")
    root, home = lay_out(whole, fast_path), fast_path / "home"
    home.mkdir()
    if how == "without permission":
        take_permission(root)
    before = everything(root)

    def run() -> None:
        if how == "without permission":
            be_ordinary()
        log = os.memfd_create("said")
        for stream in (1, 2):
            os.dup2(log, stream)
        wrong = []
        for words in whole.changing():
            os.ftruncate(log, 0)
            code = dsvc(root, *words)
            if code not in (33, 20, 22):
                wrong.append(f"{' '.join(words)} ends with {code}: {os.pread(log, 4096, 0).decode()}")
            if everything(root) != before:
                wrong.append(f"{' '.join(words)} changed something")
                break
        if wrong:
            raise RuntimeError("\n".join(wrong))

    with ExitStack() as stack:
        if how != "without permission":
            stack.enter_context(read_only(root / ".dsvc" if how == "only .dsvc is read-only" else root))
        assert run_in_child(run).error is None
    tried("disk states", len(whole.changing()))
