"""Which rows must go when subjects want to be forgotten: `dsvc impact` beside plain Python.

Visits of subjects are filtered, tidied, joined with what is known of the subject, and counted by site. The
source `leaving` attests the rows of the subjects that leave in both files, `staying` all others. The rows
that came of it are compared, one by one, with those that plain Python finds in the files by what they say.
"""

import csv
import random
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.measure import StepFailed
from benchmarks.provenance_pipeline import SCRIPTS
from benchmarks.results import Reading
from benchmarks.rounds import workspace
from benchmarks.site import copy_over
from benchmarks.tables_site import Medians, TableSite

VISITS = 100_000
KEYS = """\
[tables."*"]
key = ["id"]

[tables."subjects.csv"]
key = ["subject"]

[tables."sites.csv"]
key = ["site"]
"""
STEPS = (
    ("filter", "csv_filter.py", ("data/visits.csv",), (), "data/kept.csv"),
    ("map", "csv_map.py", ("data/kept.csv",), (), "data/tidy.csv"),
    ("join", "csv_join.py", ("data/tidy.csv", "data/subjects.csv"), ("subject",), "data/joined.csv"),
    ("count", "csv_aggregate.py", ("data/joined.csv",), ("site",), "data/sites.csv"),
)


def _write(folder: Path, visits: int) -> int:
    """Write visits and subjects in no order; returns how many subjects leave, those with the low numbers."""
    rng = random.Random("forget")
    subjects = list(range(max(20, visits // 5)))
    rng.shuffle(subjects)
    folder.mkdir(parents=True)
    with (folder / "subjects.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("subject", "site", "name"))
        sites = max(4, len(subjects) // 10)
        writer.writerows((s, f"site {rng.randrange(sites)}", f"Subject {s}") for s in subjects)
    with (folder / "visits.csv").open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(("id", "subject", "score", "text"))
        for number in range(visits):
            subject, score = rng.choice(subjects), rng.randrange(100)
            writer.writerow((number, subject, score, f"Visit {number} TEXT"))
    return len(subjects) // 20


def _source(name: str, where: str) -> list[str]:
    return [
        *("source", "add", name, "--path", "data/visits.csv", "--path", "data/subjects.csv"),
        *("--where", where, "--title", name, "--license", "CC0-1.0"),
        *("--acquisition", "user_input", "--legal-basis", "consent"),
    ]


def _by_hand(data: Path, leaving: int) -> Mapping[str, set[int]]:
    """Rows that must go of each file that was made, found by what the files say."""
    found: dict[str, set[int]] = {}
    gone_sites: set[str] = set()
    for name in ("kept", "tidy", "joined"):
        with (data / f"{name}.csv").open(newline="") as lines:
            rows = [row for row in enumerate(csv.DictReader(lines)) if int(row[1]["subject"]) < leaving]
        found[f"data/{name}.csv"] = {number for number, _ in rows}
        gone_sites = {row["site"] for _, row in rows if "site" in row}
    with (data / "sites.csv").open(newline="") as lines:
        sites = enumerate(csv.DictReader(lines))
        found["data/sites.csv"] = {number for number, row in sites if row["site"] in gone_sites}
    return found


def measure_forget(folder: Path, scale: float) -> Iterator[Reading]:
    """Record the pipeline, ask, compare."""
    medians = Medians("forget")
    with workspace(folder) as own:
        leaving = _write(own / "master", max(200, round(VISITS * scale)))
        site = TableSite(own / "site")
        site.start()
        (site.tree / "dsvc.toml").write_text(KEYS)
        copy_over(SCRIPTS, site.tree / "steps")
        site.commit(own / "master")
        site.dsvc(*_source("leaving", f"subject < {leaving}"))
        site.dsvc(*_source("staying", f"subject >= {leaving}"))
        for name, script, inputs, words, output in STEPS:
            command = [sys.executable, f"steps/{script}", *inputs, *words, output]
            reads = [word for path in inputs for word in ("-i", path)]
            site.dsvc("run", "--json", "--name", name, *reads, "-o", output, "--", *command)
            if not site.printed()["complete"]:
                raise StepFailed(f"forget: {name} is not complete: {site.printed()}")
        site.dsvc("add", "-A")
        site.dsvc("commit", "-m", "pipeline")
        for _ in range(3):
            medians.took("impact", site.dsvc("impact", "--json", "source:leaving"))
        counted = {each["path"]: each["rows"] for each in site.printed()["artifacts"]}
        rows = site.call("rows", str(site.tree), "source:leaving", module="provenance_calls")
        wanted = _by_hand(site.data, leaving)
    missed = sum(len(wanted[path] - set(rows.get(path, ()))) for path in wanted)
    extra = sum(len(set(rows.get(path, ())) - wanted[path]) for path in wanted)
    extra += sum(abs(counted.get(path, 0) - len(rows.get(path, ()))) for path in wanted)
    medians.value("subjects", leaving, "count")
    medians.value("rows", sum(map(len, wanted.values())), "count")
    medians.value("missed", missed, "count")
    medians.value("extra", extra, "count")
    yield from medians.readings()
