"""The command line of the benchmark."""

import argparse
import importlib
from pathlib import Path

from benchmarks import feedback, reliability, results
from benchmarks.peers import DRIVERS, Driver
from benchmarks.rounds import Plan, measure_workload, say
from benchmarks.site import BENCH
from benchmarks.workloads import WORKLOADS

TMPFS = Path("/dev/shm")
SPECIALS = (
    "memory",
    "million",
    "startup",
    "cost",
    "parquet_normalize",
    "blame",
    "tables",
    "provenance",
    "policy",
    "feedback",
    "reliability",
)
# Measurements of several parts, each of which can be measured alone.
PARTS = {"feedback": feedback.PARTS, "reliability": reliability.PARTS}
PART_NAMES = "; ".join(f"{kind}: {', '.join(parts)}" for kind, parts in PARTS.items())
QUICK_SCALE = 0.02
DISK_SPECIALS = ("memory", "cost")
ABOUT = """\
Measure dsvc beside its peers. Each step is a whole process; the peers take turns in every round; what is
reported is the median of the rounds. Data and stores are on tmpfs, or with --dir wherever that is.

commands:
  run       the workloads (the default where --workload is given)
  memory    peak memory with a 20 GB file and a 100 GB sparse one (on disk: it needs 65 GB there)
  million   1,000,000 small files: times and memory, and whether they grow linearly
  startup   how long the smallest commands take
  cost      what BLAKE3 and full durability cost
  parquet_normalize
            bytes that a version of a Parquet file adds, rewritten by dsvc or not, beside the peers
  blame     who changed a row, over 100 commits, without row indexes and with them
  tables    row diffs beside a join by hand, Oxen and daff; merges; tables of 640 MB
  provenance
            what recording a run adds, beside DataLad and DVC; trace, impact, rows to forget
  policy    scans for personal data and secrets, the licence fold, the gate
  feedback  causes ranked, repairs recomputed and proved
  reliability
            everything checked, beside the peers; what a crash and what durability cost; memory; SIGTERM
  report    write docs/benchmarks.md and docs/benchmarks.svg from the results
  all       everything above, workloads on disk too (the default)
  install   install the peers that are Python packages (install_peers.sh installs the others)

examples:
  python -m benchmarks --workload images --tool dsvc,git,restic --rounds 3
  python -m benchmarks --workload small --tool dsvc --merge     # keep the peers' stored figures
  python -m benchmarks --workload jsonl --scale 0.01 --results /tmp/try
  python -m benchmarks report
"""


def _names(known: list[str], text: str) -> list[str]:
    names = known if text == "all" else text.split(",")
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)} (known: {', '.join(known)})")
    return names


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=ABOUT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = ("run", *SPECIALS, "report", "all", "install")
    parser.add_argument("command", nargs="?", choices=commands, help="what to do", metavar="command")
    parser.add_argument(
        "--workload",
        type=lambda text: _names(list(WORKLOADS), text),
        help=f"workloads, with commas: {', '.join(WORKLOADS)} (default: all)",
        metavar="NAMES",
    )
    parser.add_argument(
        "--tool",
        type=lambda text: _names(list(DRIVERS), text),
        help=f"tools, with commas: {', '.join(DRIVERS)} (default: all that are installed)",
        metavar="NAMES",
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)", metavar="N")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="part of the full size (default: 1)", metavar="X"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round at a fiftieth of the size, to see that it works"
    )
    parser.add_argument("--dir", type=Path, help="a folder on disk, in place of tmpfs", metavar="FOLDER")
    parser.add_argument(
        "--part",
        type=lambda text: text.split(","),
        help=f"parts of a measurement, with commas; what is stored of the others is kept ({PART_NAMES})",
        metavar="NAMES",
    )
    parser.add_argument("--merge", action="store_true", help="keep what is stored of other tools")
    parser.add_argument(
        "--results",
        type=Path,
        help="where results go and are read (default: benchmarks/results; with --quick .bench/quick)",
        metavar="FOLDER",
    )
    return parser


def _tools(names: list[str] | None) -> list[Driver]:
    """The named tools, installed where a package is enough; without names, those that are there."""
    chosen = [DRIVERS[name] for name in names or DRIVERS]
    for tool in chosen:
        tool.install()
    missing = [tool.name for tool in chosen if tool.version() is None]
    if missing and names:
        raise SystemExit(f"not installed: {', '.join(missing)} (see benchmarks/install_peers.sh)")
    if missing:
        say(f"left out, not installed: {', '.join(missing)}")
    return [tool for tool in chosen if tool.name not in missing]


def _run_workloads(options: argparse.Namespace, folder: Path | None) -> None:
    medium = "tmpfs" if folder is None else "disk"
    tools = _tools(options.tool)
    for name in options.workload or list(WORKLOADS):
        plan = Plan(
            workload=name,
            tools=tools,
            rounds=options.rounds,
            scale=options.scale,
            folder=folder or TMPFS,
            medium=medium,
        )
        result = measure_workload(plan)
        path = results.workload_file(options.results, name, medium)
        stored = results.load_workload(path) if options.merge else None
        if stored is not None:
            measured = {run.tool for run in result.runs}
            result.runs += [run for run in stored.runs if run.tool not in measured]
        results.save(path, result)


def _run_special(kind: str, options: argparse.Namespace, folder: Path | None) -> None:
    module = importlib.import_module(f"benchmarks.{kind}")
    if kind in PARTS and options.part:
        if unknown := set(options.part) - set(PARTS[kind]):
            raise SystemExit(f"unknown: {', '.join(sorted(unknown))} (known: {', '.join(PARTS[kind])})")
        parts = [part for part in PARTS[kind] if part in options.part]
        result = module.measure_all(folder=folder, scale=options.scale, rounds=options.rounds, parts=parts)
        result = results.merged(results.load_special(options.results, kind), result, PARTS[kind])
    else:
        result = module.measure_all(folder=folder, scale=options.scale, rounds=options.rounds)
    if kind == "reliability":
        result = reliability.with_figures(result)
    results.save(options.results / f"{kind}.json", result)


def _report(options: argparse.Namespace) -> None:
    from benchmarks.report import write_report

    stored = results.load_special(options.results, "reliability")
    if stored is not None:
        # One of its figures, the mutants that tests notice, is of other results.
        results.save(options.results / "reliability.json", reliability.with_figures(stored))
    write_report(options.results)


def _run_all(options: argparse.Namespace) -> None:
    """The workloads on tmpfs, then on disk, then dsvc alone, then the report."""
    disk = options.dir or BENCH / "work"
    _run_workloads(options, None)
    _run_workloads(options, disk)
    for kind in SPECIALS:
        _run_special(kind, options, disk if kind in DISK_SPECIALS else None)
    _report(options)


def main() -> None:
    """Parse the command line and do it."""
    options = _parser().parse_args()
    if options.quick:
        options.rounds, options.scale = 1, QUICK_SCALE
    options.results = options.results or (BENCH / "quick" if options.quick else results.RESULTS)
    command = options.command or ("run" if options.workload or options.tool else "all")
    if command == "install":
        _tools(options.tool)
    elif command == "report":
        _report(options)
    elif command in SPECIALS:
        _run_special(command, options, options.dir)
    elif command == "run":
        _run_workloads(options, options.dir)
    else:
        _run_all(options)
