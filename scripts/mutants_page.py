"""Write docs/mutants.md from what was measured: ``python scripts/mutants_page.py [--check]``."""

from __future__ import annotations

import json
import sys
import tomllib
from math import sqrt
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
RESULTS: Final = ROOT / "benchmarks" / "results" / "mutants.json"
EQUIVALENT: Final = ROOT / "scripts" / "equivalent_mutants.toml"
PAGE: Final = ROOT / "docs" / "mutants.md"

HEAD: Final = """\
# Small bugs that the tests notice

Written by `scripts/mutants_page.py` from `benchmarks/results/mutants.json`, which `make mutants` writes.
Each *mutant* is one small bug put into a module: a comparison turned round, a number off by one, a call
left out ([`scripts/mutations.py`](../scripts/mutations.py) has the list). It's *killed* when a test fails.
What runs in forks of a test counts; the program `dsvc` as a process of its own doesn't, and a test of more
than three seconds isn't asked, so the figures are lower bounds.

"""


def interval(killed: int, tried: int) -> tuple[float, float]:
    """The 95% interval of a share, by Wilson."""
    z, share = 1.96, killed / tried
    middle = share + z * z / (2 * tried)
    half = z * sqrt(share * (1 - share) / tried + z * z / (4 * tried * tried))
    below = 1 + z * z / tried
    return (middle - half) / below, (middle + half) / below


def reason(reasons: list[dict[str, str]], module: str, each: dict[str, Any]) -> str | None:
    """Why a survivor changes nothing that anybody could see, if that was found out."""
    for known in reasons:
        if (known["module"], known["text"], known["change"]) == (module, each["text"], each["change"]):
            return known["why"]
    return None


def score(killed: int, tried: int, every: int) -> str:
    """A share in words: with its interval where not all were tried."""
    if not tried:
        return "-"
    share = f"{killed / tried:.1%}"
    if tried == every:
        return share
    low, high = interval(killed, tried)
    return f"{share} ({low:.1%} to {high:.1%})"


def totals(modules: dict[str, Any]) -> tuple[str, int]:
    """The table of modules, and how many mutants were tried in all."""
    packages: dict[str, list[Any]] = {}
    lines = ["| module | mutants | tried | killed | score |", "|---|---:|---:|---:|---:|"]
    for name, each in modules.items():
        packages.setdefault(".".join(name.split(".")[:2]), []).append(each)
        words = score(each["killed"], each["tried"], each["mutants"])
        lines.append(f"| `{name}` | {each['mutants']} | {each['tried']} | {each['killed']} | {words} |")
    for name, members in [*packages.items(), ("all", list(modules.values()))]:
        every, tried, killed = (sum(m[key] for m in members) for key in ("mutants", "tried", "killed"))
        words = f"**{score(killed, tried, every)}**"
        lines.append(f"| **{name}** | {every:,} | {tried:,} | {killed:,} | {words} |")
    return "\n".join(lines), sum(m["tried"] for m in modules.values())


def page() -> str:
    """The whole page."""
    data = json.loads(RESULTS.read_text(encoding="utf-8"))
    reasons = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get("equivalent", [])
    table, _ = totals(data["modules"])
    sample = "all mutants" if not data["sample"] else f"at most {data['sample']} mutants of each module"
    parts = [
        HEAD,
        f"Tried: {sample}, seed {data['seed']}. With a sample, the score has its 95% interval.\n",
        table,
        "\n## Survivors\n",
    ]
    for name, each in data["modules"].items():
        if not each["survivors"]:
            continue
        parts.append(f"### `{name}`\n")
        for one in each["survivors"]:
            why = reason(reasons, name, one)
            unreached = "; no quick test runs it" if not one["tests"] else ""
            words = f": {why}" if why else unreached
            place = f"{name.replace('.', '/')}.py:{one['line']}"
            parts.append(f"- `{place}` {one['change']}{words}")
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def main() -> int:
    """Write the page, or look whether it's up to date."""
    made = page()
    if sys.argv[1:] == ["--check"]:
        return int(PAGE.read_text(encoding="utf-8") != made)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
