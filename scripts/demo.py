"""The demo: real data versioned, corrected, compared, merged and brought back, with the real command line.

Each command is printed with a ``$`` before it, and its output as it came. The demo stops at the first command
that fails. It exits 0 only if version 1 came back byte for byte. What is corrected and why: docs/demo.md.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from demo_chain import tell_of_provenance
from demo_feedback import tell_of_feedback
from demo_policy import tell_of_policy
from demo_shell import PROGRAM, DemoFailedError, Shell, digests, say

# Left out: la-riots.csv, which names people who died.
FILES = (
    "airports.csv",
    "anscombe.json",
    "barley.json",
    "burtin.json",
    "cars.json",
    "crimea.json",
    "driving.json",
    "iowa-electricity.csv",
    "iris.json",
    "ohlc.json",
    "seattle-temps.csv",
    "seattle-weather.csv",
    "sf-temps.csv",
    "stocks.csv",
    "us-employment.csv",
    "wheat.json",
)

MISSPELT_MAKES = {
    "chevroelt chevelle malibu": "chevrolet chevelle malibu",
    "maxda glc deluxe": "mazda glc deluxe",
    "maxda rx3": "mazda rx3",
    "toyouta corona mark ii (sw)": "toyota corona mark ii (sw)",
    "vokswagen rabbit": "volkswagen rabbit",
}
EAST_OF_GREENWICH = ("GRO", "GSN", "GUM", "TNI", "TT01")  # Guam and the Northern Marianas
SOUTH_OF_THE_EQUATOR = ("FAQ", "PPG", "Z08")  # American Samoa

# Opened in 2010 and 2019, after the data were collected.
PANAMA_CITY = "ECP,Northwest Florida Beaches International,Panama City,FL,USA,30.358333,-85.795556\n"
WILLISTON = "XWA,Williston Basin International,Williston,ND,USA,48.258611,-103.750556\n"
# What Marquette's airport and Hilton Head's have as city and state, and what it should be. The first one
# serves Marquette and stands at Gwinn: two people, two opinions.
NO_PLACE = ",NA,NA,USA,"
PLACES = {"MQT": ",Marquette,MI,USA,", "HHH": ",Hilton Head Island,SC,USA,"}
GWINN = ",Gwinn,MI,USA,"

ASKED = """\
SELECT iata, b.name, a.longitude AS published, b.longitude AS corrected
FROM dsvc('published:airports.csv') a JOIN 'airports.csv' b USING (iata)
WHERE a.longitude <> b.longitude"""

NOTES = """\
数据说明

cars.json      五条记录的厂商名拼写有误，已更正（chevroelt、maxda、toyouta、vokswagen）。
airports.csv   关岛与北马里亚纳群岛在东经，美属萨摩亚在南纬：八行坐标的正负号写反了，已更正。
vix-2009.json  原名 ohlc.json；内容是 2009 年夏季的波动率指数，故改名。
anscombe.json  为说明统计陷阱而构造的数字，不是观测数据，已移除。
barley.json    Morris 一地两年的产量是否互换，文献中仍有争议，未改动。
"""


def data_folder() -> Path:
    """Find the data files of vega-datasets without importing it (it would import pandas)."""
    spec = importlib.util.find_spec("vega_datasets")
    if spec is None or not spec.submodule_search_locations:
        raise DemoFailedError("the package vega-datasets is not installed; `make demo` installs it")
    return Path(next(iter(spec.submodule_search_locations))) / "_data"


def replace_once(text: str, old: str, new: str) -> str:
    """Replace the only occurrence of `old`; the demo fails if the data is not what it was written for."""
    if text.count(old) != 1:
        raise DemoFailedError(f"expected {old!r} once in the data, found it {text.count(old)} times")
    return text.replace(old, new)


def rewrite(path: Path, edit: Callable[[str], str]) -> None:
    """Edit a text file, leaving its line endings alone."""
    path.write_bytes(edit(path.read_bytes().decode("utf-8")).encode("utf-8"))


def correct_makes(text: str) -> str:
    """Correct the makers' names in cars.json."""
    for wrong, right in MISSPELT_MAKES.items():
        text = replace_once(text, f'"{wrong}"', f'"{right}"')
    return text


def correct_coordinates(text: str) -> str:
    """Turn the wrong signs in airports.csv around."""
    lines = text.split("\n")
    corrected = 0
    for number, line in enumerate(lines):
        fields = line.split(",")
        if fields[0] in EAST_OF_GREENWICH:
            fields[-1] = fields[-1].removeprefix("-")
        elif fields[0] in SOUTH_OF_THE_EQUATOR:
            fields[-2] = f"-{fields[-2]}"
        corrected += fields != line.split(",")
        lines[number] = ",".join(fields)
    expected = len(EAST_OF_GREENWICH) + len(SOUTH_OF_THE_EQUATOR)
    if corrected != expected:
        raise DemoFailedError(f"expected to correct {expected} airports, corrected {corrected}")
    return "\n".join(lines)


def edit_by_hand(folder: Path) -> None:
    """Do what a person would do to the data: correct, rename, remove, take notes."""
    rewrite(folder / "cars.json", correct_makes)
    rewrite(folder / "airports.csv", correct_coordinates)
    (folder / "ohlc.json").rename(folder / "vix-2009.json")
    (folder / "anscombe.json").unlink()
    (folder / "说明.txt").write_text(NOTES, encoding="utf-8")


def place(text: str, code: str, where: str) -> str:
    """Give an airport that lacks them its city and state."""
    lines = text.split("\n")
    (number,) = [n for n, line in enumerate(lines) if line.startswith(f"{code},")]
    lines[number] = replace_once(lines[number], NO_PLACE, where)
    return "\n".join(lines)


def append(text: str, code: str, row: str) -> str:
    """Add an airport; the demo fails if it is there, or the file doesn't end with a line's end."""
    if f"\n{code}," in text or not text.endswith("\n"):
        raise DemoFailedError(f"the data are others than this was written for: {code}")
    return text + row


def check_same(what: str, expected: dict[str, str], found: dict[str, str]) -> None:
    """Compare names and SHA-256 of all files."""
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise DemoFailedError(f"{what} did not come back byte for byte: {', '.join(wrong)}")
    print(
        f"\n✓ {what} came back byte for byte: {len(found)} files, every SHA-256 as recorded before.",
        flush=True,
    )


def tell_the_story(folder: Path) -> None:
    """Run the whole demo in `folder`."""
    shell = Shell(folder)
    version_1 = digests(folder)

    say(f"A folder of real data: {len(version_1)} files from the package vega-datasets.")
    shell.dsvc("init")
    shell.dsvc("add", ".")
    shell.dsvc("commit", "-m", "The data as published")

    say("Now edit it, as a person would:")
    print("#   cars.json      five misspelt makes corrected (maxda, toyouta, vokswagen, chevroelt)")
    print("#   airports.csv   eight Pacific airports lay in the wrong hemisphere")
    print("#   ohlc.json      renamed to vix-2009.json, which is what it holds")
    print("#   anscombe.json  removed: constructed numbers, not observations")
    print("#   说明.txt       notes, in Chinese")
    edit_by_hand(folder)
    version_2 = digests(folder)
    shell.dsvc("status")
    shell.dsvc("diff", "--stat")
    shell.dsvc("diff", "--", "cars.json", "airports.csv")
    shell.dsvc("add", "-A")
    shell.dsvc("status")
    shell.dsvc("commit", "-m", "Correct makes and coordinates; notes 说明")
    shell.dsvc("log")

    say("Name the version as it was published, and go back to it.")
    shell.dsvc("branch", "published", "HEAD~1")
    shell.dsvc("checkout", "published")
    check_same("Version 1", version_1, digests(folder))

    say("And forward again.")
    shell.dsvc("checkout", "main")
    check_same("Version 2", version_2, digests(folder))
    tell_of_tables(shell)
    shell.dsvc("log", "--oneline", "--graph")
    shell.dsvc("fsck", "--read-data")
    shell.dsvc("du")


def tell_of_tables(shell: Shell) -> None:
    """Merge rows and cells that two people worked on, settle one, and ask who changed what."""
    airports = shell.folder / "airports.csv"

    say("Two people work on airports.csv. Each appends a row that is missing, and fills in cells:")
    shell.dsvc("checkout", "-b", "florida")
    rewrite(airports, lambda text: append(text, "ECP", PANAMA_CITY))
    rewrite(airports, lambda text: place(text, "HHH", PLACES["HHH"]))
    rewrite(airports, lambda text: place(text, "MQT", GWINN))
    shell.dsvc("commit", "-a", "-m", "Panama City; where Hilton Head and Sawyer are")
    shell.dsvc("checkout", "main")
    rewrite(airports, lambda text: append(text, "XWA", WILLISTON))
    rewrite(airports, lambda text: place(text, "MQT", PLACES["MQT"]))
    shell.dsvc("commit", "-a", "-m", "Williston; Sawyer serves Marquette")

    say("Both appends merge, and so do all cells but one.")
    shell.dsvc("merge", "florida", code=16)
    shell.dsvc("conflicts")
    shell.dsvc("resolve", "airports.csv#iata=MQT", "--ours")
    shell.dsvc("commit", "-m", "Merge florida")
    check_merged(airports)

    say("Who changed a row, cell by cell?")
    shell.dsvc("blame", "airports.csv#iata=MQT")

    say("And what else can be asked of two versions:")
    shell.dsvc("sql", ASKED)


def check_merged(airports: Path) -> None:
    """See that the merge kept what both did, read by other means than dsvc's."""
    with airports.open(encoding="utf-8", newline="") as stream:
        listed = list(csv.DictReader(stream))
    rows = {row["iata"]: row for row in listed}
    city = {code: rows[code]["city"] for code in ("ECP", "XWA", "HHH", "MQT") if code in rows}
    wanted = {"ECP": "Panama City", "XWA": "Williston", "HHH": "Hilton Head Island", "MQT": "Marquette"}
    if city != wanted or len(rows) < len(listed):
        raise DemoFailedError(f"the merge came to {city}, not {wanted}")
    print(f"\n✓ airports.csv has what both did: {len(rows):,} rows, each once.", flush=True)


@contextlib.contextmanager
def working_folder(keep: Path | None) -> Iterator[Path]:
    """Give a new folder: `keep`, which stays, or a temporary one."""
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="dsvc-demo-") as temporary:
        folder = Path(temporary) / "data"
        folder.mkdir()
        yield folder


def main() -> int:
    """Run the demo; return the exit code."""
    parser = argparse.ArgumentParser(description="Version real data, change it, compare it, bring it back.")
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="run in DIR, a new folder, and leave it there"
    )
    parser.add_argument("--program", metavar="FILE", help="run FILE as dsvc")
    arguments = parser.parse_args()
    keep: Path | None = arguments.keep
    if arguments.program is not None:
        PROGRAM[:] = [arguments.program]
    with contextlib.suppress(AttributeError):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    if keep is not None and keep.exists():
        parser.error(f"{keep} exists already")
    try:
        source = data_folder()
        with working_folder(keep) as folder:
            for name in FILES:
                shutil.copyfile(source / name, folder / name)
            tell_the_story(folder)
            tell_of_provenance(folder.parent / f"{folder.name}-chain", source)
            tell_of_policy(folder.parent / f"{folder.name}-policy")
            tell_of_feedback(folder.parent / f"{folder.name}-feedback")
    except (DemoFailedError, OSError) as error:
        print(f"\n✗ The demo failed: {error}", file=sys.stderr, flush=True)
        return 1
    print("\nThe demo is done." + (f" The repository stays in {keep}." if keep else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())
