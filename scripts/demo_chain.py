"""The second part of the demo: airports from their source to training data, step by recorded step.

The steps are the scripts in ``chain/``. What the data are and what is done to them: docs/demo.md.
"""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

from demo_shell import DemoFailedError, Shell, say

STEPS = Path(__file__).parent / "chain"


def lay_out(folder: Path, data: Path) -> None:
    """Copy raw data, their description and the steps into a new folder."""
    for name in ("raw", "steps", "evidence", "clean", "joined", "labelled", "split"):
        (folder / name).mkdir(parents=True)
    shutil.copyfile(data / "airports.csv", folder / "raw" / "airports.csv")
    shutil.copyfile(STEPS / "states.csv", folder / "raw" / "states.csv")
    for step in sorted(STEPS.glob("*.py")):
        shutil.copyfile(step, folder / "steps" / step.name)
    about = json.loads((data.parent / "dataset_info.json").read_text(encoding="utf-8"))["airports"]
    (folder / "evidence" / "airports-licence.txt").write_text(about["description"] + "\n", encoding="utf-8")
    (folder / "evidence" / "states-licence.txt").write_text(
        "States and census regions are facts; this list of them is given to the public (CC0 1.0).\n",
        encoding="utf-8",
    )


def name_sources(shell: Shell) -> None:
    """Record where the raw files come from."""
    say("A second folder: airports on their way to training data. First, where they come from.")
    shell.dsvc("init")
    shell.dsvc(
        *(
            "source",
            "add",
            "ourairports",
            "--path",
            "raw/airports.csv",
            "--title",
            "OurAirports, as of vega-datasets",
        ),
        *(
            "--license",
            "LicenseRef-public-domain",
            "--acquisition",
            "open_dataset",
            "--legal-basis",
            "licence",
        ),
        *("--field", "issuer=OurAirports", "--field", "contains_pi=no"),
        *("--evidence", "licence_text=evidence/airports-licence.txt"),
    )
    shell.dsvc(
        *("source", "add", "普查分区", "--path", "raw/states.csv", "--title", "各州所属的普查分区"),
        *("--license", "CC0-1.0", "--acquisition", "self_generated", "--legal-basis", "licence"),
        *("--evidence", "licence_text=evidence/states-licence.txt"),
    )
    shell.dsvc("add", ".")
    shell.dsvc("commit", "-m", "Raw data and their sources")


def run_steps(shell: Shell) -> None:
    """Clean, deduplicate, join, label and split; each step is recorded with what became of every row."""
    say("Then five steps, four by `dsvc run`, one by the Python API. Each accounts for every row.")
    key = ("--key", "iata")
    shell.dsvc(
        *("run", "--name", "clean", "-i", "raw/airports.csv", "-o", "clean/airports.csv", *key),
        *("--", "python3", "steps/clean.py"),
    )
    shell.python("steps/dedup.py")
    (shell.folder / "joined").mkdir(exist_ok=True)
    shell.dsvc(
        *(
            "run",
            "--name",
            "join",
            "-i",
            "dedup/airports.csv",
            "-i",
            "raw/states.csv",
            "-o",
            "joined/airports.csv",
        ),
        *(
            "--key",
            "dedup/airports.csv:iata",
            "--key",
            "joined/airports.csv:iata",
            "--key",
            "raw/states.csv:state",
        ),
        *("--", "python3", "steps/join.py"),
    )
    shell.dsvc(
        *(
            "run",
            "--name",
            "zones",
            "--kind",
            "label",
            "-i",
            "joined/airports.csv",
            "-o",
            "labelled/机场.csv",
        ),
        *(*key, "--fact", "annotator=rule", "--fact", "rules=zones-1", "--fact", "by=model", "--rowwise"),
        *("--", "python3", "steps/label.py"),
    )
    shell.dsvc(
        *(
            "run",
            "--name",
            "split",
            "-i",
            "labelled/机场.csv",
            "-o",
            "split/train.csv",
            "-o",
            "split/valid.csv",
        ),
        *(*key, "--", "python3", "steps/split.py"),
    )
    shell.dsvc("status")
    shell.dsvc("add", ".")
    shell.dsvc("commit", "-m", "Training data 训练集")
    shell.dsvc("check")


def ask(shell: Shell) -> None:
    """Trace a row back, count what a source reached, explain a row that is gone, repeat a step."""
    train, valid = (
        {row["iata"] for row in _rows(shell.folder / f"split/{part}.csv")} for part in ("train", "valid")
    )
    place = "train" if "GUM" in train else "valid"
    say(f"Guam is in split/{place}.csv. Where does that row come from?")
    shell.dsvc("trace", f"split/{place}.csv#iata=GUM")
    traced = shell.ask("trace", f"split/{place}.csv#iata=GUM")
    expect(traced["complete"] is True, "the trace is complete")
    expect(
        {source["id"] for source in traced["sources"]} == {"ourairports", "普查分区"}, "it has both sources"
    )

    say("What did the source reach?")
    shell.dsvc("impact", "source:ourairports")
    reached = shell.ask("impact", "source:ourairports")
    rows = {artifact["path"]: artifact["rows"] for artifact in reached["artifacts"]}
    expect(
        rows["split/train.csv"] == len(train) and rows["split/valid.csv"] == len(valid),
        "counts are the files'",
    )

    say("Why is Minot Air Force Base not in the training data, and where is the second Friday Harbor?")
    shell.dsvc("impact", "raw/airports.csv#iata=MIB")
    shell.dsvc("impact", "clean/airports.csv#iata=W33")

    say("Is a step repeatable? It runs again, in a scratch folder, and the results are compared.")
    shell.dsvc("rerun", "zones", "--check")
    shell.dsvc("lineage", f"split/{place}.csv")

    say("A source is withdrawn: everything made of it fails the gate. Then that is taken back.")
    shell.dsvc("source", "withdraw", "普查分区", "--reason", "for the demo")
    shell.dsvc("check", code=1)
    shell.dsvc("undo")
    shell.dsvc("check")


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def expect(holds: bool, what: str) -> None:
    """Stop the demo where something does not hold."""
    if not holds:
        raise DemoFailedError(f"it does not hold that {what}")
    print(f"\n✓ {what[0].upper()}{what[1:]}.", flush=True)


def tell_of_provenance(folder: Path, data: Path) -> None:
    """Run the second part in a new folder."""
    lay_out(folder, data)
    shell = Shell(folder)
    name_sources(shell)
    run_steps(shell)
    ask(shell)
