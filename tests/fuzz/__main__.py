"""Fuzz the parsers of dsvc: ``python -m tests.fuzz [NAME…] --seconds 60``; without a name, all of them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fuzz.registry import Target


def _words() -> argparse.Namespace:
    words = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    words.add_argument("names", nargs="*", metavar="NAME", help="targets, or groups of targets")
    words.add_argument("--list", action="store_true", help="list the targets")
    words.add_argument("--runs", type=int, default=0, help="inputs for each target; 0: as --seconds says")
    words.add_argument("--usual-runs", action="store_true", help="as many as in `make test`")
    words.add_argument("--seconds", type=int, default=20, help="for each target at most; 0: no bound")
    words.add_argument("--seed", type=int, default=1)
    words.add_argument("--keep", type=Path, default=Path("build/fuzz"), help="where findings are put")
    words.add_argument("--json", type=Path, metavar="FILE", help="write what came of each target")
    return words.parse_args()


def _load(names: list[str]) -> list[Target]:
    """Import what is fuzzed, told of each branch that is taken."""
    try:
        import atheris
    except ImportError:
        sys.exit("atheris is not installed here: pip install atheris")
    with atheris.instrument_imports(include=["dsvc"], enable_loader_override=False):
        from tests.fuzz.registry import chosen

        try:
            return chosen(names)
        except KeyError as error:
            sys.exit(f"there is no target or group {error}; --list shows them")


def main() -> int:
    """Fuzz; 1 where something was found."""
    words = _words()
    found = _load(words.names)
    if words.list:
        print("\n".join(f"{each.group:10} {each.name}" for each in found))
        return 0
    from tests.fuzz.driving import fuzz

    print(f"seed {words.seed}", flush=True)
    results = []
    for each in found:
        runs = each.runs if words.usual_runs else words.runs
        result = fuzz(each, runs=runs, seconds=words.seconds, seed=words.seed, keep=words.keep)
        results.append(result)
        print(f"{each.name}: {result.runs:,} runs, {result.accepted:,} accepted", flush=True)
        for finding in result.findings:
            print(f"  {finding.path or 'no input'}: {finding.what}", flush=True)
    if words.json:
        words.json.write_text(json.dumps(results, default=str), "utf-8")
    return int(any(each.findings for each in results))


sys.exit(main())
