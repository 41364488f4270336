"""Every verb of the command line, over a repository with everything in it, in this process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dsvc.porcelain.records.defect_chain import defect_states
from dsvc.porcelain.records.feedback_chain import feedback_ids
from dsvc.porcelain.records.repair_chain import repairs
from dsvc.testing.image import Image
from tests import loop_scenarios
from tests.faultkit import AUTHOR, repository, write


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
