"""F21: what can't be written is read, without one attempt to write it; what would change it is refused."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from dsvc.porcelain.records.defect_chain import defect_states
from dsvc.porcelain.records.feedback_chain import feedback_ids
from dsvc.porcelain.records.repair_chain import repairs
from dsvc.testing.faults import Image, run_in_child, tried
from tests import loop_scenarios
from tests.faultkit import AUTHOR, repository, write
from tests.mountkit import read_only
from tests.outside import watched


class Whole:
    """A repository with everything in it: a release, evaluations, defects, repairs, uncommitted work."""

    def __init__(self, folder: Path) -> None:
        root = str(folder / "whole")
        loop_scenarios.whole(root)
        write(root, {b"a.jsonl": b"", b"new.txt": b"untracked\n", "数据/新.csv".encode(): b"id,v\n1,x\n"})
        with repository(root) as repo:
            repo.add([b"new.txt"])
            repo.create_branch("topic")
            repo.create_branch("other", "HEAD~1")
            self.defect = next(iter(defect_states(repo))).id
            self.feedback = feedback_ids(repo)[0]
            self.repair = next(each.id for each in repairs(repo) if each.proof is None)
        self.image = Image(root)

    def reading(self) -> list[tuple[int, tuple[str, ...]]]:
        """Exit code and words of verbs that change nothing."""
        words = """
            0 status · 0 status --json · 0 log · 0 log --graph · 0 log --json -- a.jsonl · 0 show HEAD
            0 diff · 0 diff --staged · 1 diff HEAD~1 HEAD --rows --exit-code · 0 diff --stat v1
            0 blame raw.jsonl · 0 blame raw.jsonl#id=1 · 0 cat raw.jsonl · 0 cat v1:raw.jsonl#id=1
            0 ls -r · 0 sql SELECT{}count(*){}FROM{}"raw.jsonl" · 0 branch · 0 tag · 0 conflicts
            0 op log · 0 reflog · 0 source list · 0 source show words · 0 lineage v1:raw.jsonl
            0 trace v1:raw.jsonl#id=2 · 0 trace release:v1 · 0 impact source:words · 1 check · 0 check v1
            0 policy list · 0 request list · 0 hook list
            0 feedback list · 0 feedback show FEEDBACK · 0 defect list · 0 defect show DEFECT
            0 repair list · 0 repair show REPAIR · 0 release list · 0 release show v1 · 0 release verify v1
            0 fsck · 0 fsck --read-data · 0 gc --dry-run · 0 du · 0 config · 0 completion bash · 0 version
        """
        lines = [each.split() for line in words.strip().splitlines() for each in line.split("·")]
        return [(int(code), tuple(map(self._named, rest))) for code, *rest in lines]

    def changing(self) -> list[tuple[str, ...]]:
        """Words of verbs that would change something."""
        words = """
            add -A · add new.txt · commit -m no · commit -a -m no · checkout topic · checkout v1 --force
            checkout -b third · restore a.jsonl · reset --hard v1 · reset --soft v1 · branch third
            branch -d topic · tag v9 · stash · rm --force a.jsonl · rm --cached new.txt
            mv raw.jsonl b.jsonl · clean
            merge other · cherry-pick v1 · revert HEAD · undo · gc · gc --grace 0s
            fsck --repair · config core.pager less
            source set words --field title=x · source withdraw words --reason x
            run --name n -o new.txt -- true · run --manual text -i raw.jsonl -o a.jsonl
            request add r1 --kind refusal --domain example.org
            feedback import next.jsonl --subject a.jsonl --suite s2 · defect confirm DEFECT
            defect comment DEFECT -m text · repair plan DEFECT --drop · repair apply REPAIR
            release create v5 --consumer x · release withdraw v1 --reason x --yes
            release announce v6 --until 2999-01-01
        """
        lines = [each.split() for line in words.strip().splitlines() for each in line.split("·")]
        return [tuple(map(self._named, line)) for line in lines]

    def _named(self, word: str) -> str:
        named = {"DEFECT": self.defect, "FEEDBACK": self.feedback, "REPAIR": self.repair}
        return named.get(word, word.replace("{}", " "))


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


def dsvc(root: Path, *words: str) -> int:
    """Run the program in this process, as at a command line."""
    from dsvc.__main__ import main

    os.environ |= {"DSVC_AUTHOR_NAME": AUTHOR.name, "DSVC_AUTHOR_EMAIL": AUTHOR.email, "LC_ALL": "C.UTF-8"}
    sys.argv = ["dsvc", "-C", str(root), *words]
    return main()


def everything(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of the working tree and of the repository."""
    found: dict[str, tuple[int, bytes]] = {}
    for folder, names, files in os.walk(root):
        for name in [*names, *files]:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            data = os.fsencode(os.readlink(path)) if path.is_symlink() else b""
            found[str(path)] = (mode, path.read_bytes() if path.is_file() and not path.is_symlink() else data)
    return found


def lay_out(whole: Whole, folder: Path) -> Path:
    root = folder / "repo"
    whole.image.lay_out(str(root))
    return root


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
