"""A repository to be judged: `python -m benchmarks.policy_check_site TREE FILES RUNS SOURCES`.

Nine files of ten lie in a folder for each source, a table and texts; the others were made by runs, each of
which read a folder of a source, or what an earlier run had made. Everything is committed under the default
policy.
"""

import sys
from pathlib import Path

from dsvc.model.run_record import RunKind
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs.run_spec import RunSpec

POLICY = '[policy]\npacks = ["default"]\npurpose = "research"\nshared = false\n'
EVERY = 5
"""Of so many runs one reads a folder of a source, the others what the run before made."""


def text(name: str, number: int) -> str:
    """A small text of its own."""
    return f"{name} {number}: 一段短文 a short text of {number * 7919 % 100_003} words.\n" * 4


def write(folder: Path, name: str, count: int) -> None:
    """Write small files."""
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number:05}.txt").write_text(text(name, number), encoding="utf-8")


def main() -> None:
    """Write the files, record sources and runs, commit."""
    tree = Path(sys.argv[1])
    files, runs, sources = map(int, sys.argv[2:5])
    repo = Repository.open(str(tree))
    (tree / "dsvc.toml").write_text(POLICY, encoding="utf-8")
    licence = tree / "evidence" / "licence.txt"
    licence.parent.mkdir()
    licence.write_text("Permission is hereby granted to everybody.\n", encoding="utf-8")
    for number in range(sources):
        folder = f"raw/s{number:03}"
        write(tree / folder, folder, files * 9 // 10 // sources - 1)
        rows = "".join(f"{row},a row of {number}\n" for row in range(20))
        (tree / folder / "table.csv").write_text(f"id,text\n{rows}", encoding="utf-8")
        repo.source_add(
            f"s{number:03}",
            [folder.encode()],
            fields={
                "title": f"Source {number}",
                "acquisition": "open_dataset",
                "legal_basis": "licence",
                "license_expression": "CC-BY-4.0",
                "contains_pi": "none",
                "rights_status": "clear",
            },
            evidence=[f"licence_text={licence}"],
        )
    before = ""
    for number in range(runs):
        source = f"raw/s{number // EVERY % sources:03}" if number % EVERY == 0 else before
        before = f"made/r{number:03}"
        write(tree / before, before, files // 10 // runs)
        spec = RunSpec(
            name=f"step{number}", kind=RunKind.TRANSFORM, inputs=[source.encode()], outputs=[before.encode()]
        )
        repo.run_manual(spec, "made by the benchmark")
    repo.add(all=True)
    print(repo.commit("everything").commit)


if __name__ == "__main__":
    main()
