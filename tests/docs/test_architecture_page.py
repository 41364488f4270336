"""docs/architecture.md is true to the code: what it names is there, the layers are those that lint checks."""

from __future__ import annotations

import configparser
import fnmatch
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "dsvc").rglob("*.py"))
MAX_LINES = 470

VERBS = (
    *("`add`", "`commit`", "`status`", "`checkout`", "`diff`, of a table", "`merge`, with tables", "`gc`"),
    *(
        "`fsck`, with `--repair`",
        "`undo`",
        "`run`",
        "`source add`",
        "`trace`",
        "`check`",
        "`feedback import`",
    ),
    *("`defect show`", "`repair plan`", "`repair apply`", "`repair verify`", "`release create`"),
    *("`release verify`", "`request erase`"),
)


def layers(contract: str) -> list[list[str]]:
    """Layers of a contract of import-linter, those of one line together."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = setup[f"importlinter:contract:{contract}"]["layers"].split("\n")
    return [[name.strip() for name in line.split("|")] for line in lines if line.strip()]


def rows_of(title: str) -> list[list[str]]:
    """Cells of the rows of the table whose first heading is `title`."""
    table = PAGE.split(f"| {title} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.split("\n")[2:]]


def names_in(cell: str) -> list[str]:
    """Names of modules in a cell; what has other signs than a module's name is something else."""
    return [name for name in re.findall("`([^`]+)`", cell) if re.fullmatch("[a-z0-9_/…]+", name)]


def exists(name: str, folder: str) -> bool:
    """Whether a module, or a folder, is there; ``…`` stands for any letters."""
    pattern = name.replace("…", "*")
    if name.endswith("/"):
        return any(path.is_dir() for path in (ROOT / folder).rglob(name.rstrip("/")))
    below = [
        f"{folder}/{pattern}.py",
        f"{folder}/{pattern}/*",
        f"{folder}/*/{pattern}.py",
        f"dsvc/{pattern}.py",
    ]
    return any(fnmatch.fnmatchcase(module, wanted) for module in MODULES for wanted in below)


def test_the_page_stays_readable() -> None:
    assert len(PAGE.splitlines()) < MAX_LINES


def test_every_file_that_it_names_is_there() -> None:
    named = set(re.findall(r"`(?:dsvc/)?([a-z0-9_/…]+\.py)`", PAGE))
    assert len(named) > 50
    lost = [
        name
        for name in sorted(named)
        if not any(fnmatch.fnmatchcase(f"/{module}", f"*/{name.replace('…', '*')}") for module in MODULES)
    ]
    assert not lost


def modules_named(package: str) -> list[tuple[str, str]]:
    """Folder and name of each module in the tables of a package, which may list it folder by folder."""
    found, inside = [], ""
    if f"| folder of `{package}` |" in PAGE:
        for folder, modules, _ in rows_of(f"folder of `{package}`"):
            own = re.findall("`([a-z_]+)(?:/|`)", folder)
            inside = own[0] if own else inside
            found += [(f"dsvc/{package}/{inside}", name) for name in names_in(modules)]
        return found
    for cell, *_ in rows_of(f"modules of `{package}`"):
        inside = ""
        for name in names_in(cell):
            # The first name of a row may say in which folder the others are.
            folder = (
                f"dsvc/{package}/{inside}" if exists(name, f"dsvc/{package}/{inside}") else f"dsvc/{package}"
            )
            found.append((folder.rstrip("/"), name))
            inside = name.rpartition("/")[0] or inside
    return found


@pytest.mark.parametrize("package", ["cli", "table", "diff", "lineage", "feedback", "release", "policy"])
def test_every_module_of_a_table_is_there(package: str) -> None:
    named = modules_named(package)
    assert len(named) > 5
    assert not [(folder, name) for folder, name in named if not exists(name, folder)]


def test_the_folders_of_porcelain_stand_in_the_order_of_the_layers() -> None:
    expected = [name for line in layers("porcelain") for name in line]
    top = ["repository", "fsck", "init"]
    assert expected[: len(top)] == top
    rows = rows_of("folder")
    assert [name for row in rows for name in names_in(row[0])] == expected[len(top) :]
    picture = PAGE.split("top to bottom:", 1)[1].split("─", 1)[0]
    assert re.findall(r"[a-z]+", picture) == expected[len(top) :]


def test_the_folders_of_cli_stand_in_the_order_of_the_layers() -> None:
    top, *expected = layers("cli")
    assert top == ["main", "fast_path"]
    named = [name for row in rows_of("folder of `cli`") for name in names_in(row[0])]
    assert named == [name for line in expected for name in line]


def test_every_module_of_cli_is_in_the_table() -> None:
    named = [(folder, name.replace("…", "*")) for folder, name in modules_named("cli")]
    unnamed = [
        module
        for module in MODULES
        if re.fullmatch(r"dsvc/cli/(?!commands)\w+/(?!__init__)\w+\.py", module)
        and not any(fnmatch.fnmatchcase(module, f"{folder}/{name}.py") for folder, name in named)
    ]
    assert not unnamed


def test_every_module_of_a_folder_of_porcelain_is_there() -> None:
    lost = [
        f"{folder}: {name}"
        for row in rows_of("folder")
        for folder in names_in(row[0])
        for name in names_in(row[2])
        if not exists(name, f"dsvc/porcelain/{folder}")
        and not exists(name, "dsvc/porcelain")
        and not exists(name, "dsvc")
    ]
    assert not lost


def test_what_a_folder_of_porcelain_does_is_what_it_says_itself() -> None:
    for row in rows_of("folder"):
        (folder,) = names_in(row[0])
        said = (ROOT / "dsvc" / "porcelain" / folder / "__init__.py").read_text(encoding="utf-8")
        text = said.strip().strip('"').rstrip(".")
        assert row[1].replace("`", "").startswith(text[0].lower() + text[1:].replace("`", ""))


def test_the_picture_has_the_layers() -> None:
    picture = PAGE.split("```", 2)[1]
    found = [line for line in layers("layers") if line != ["__main__"]]
    at = 0
    for line in found:
        places = [
            match.start() for name in line if (match := re.search(rf"(?<!\w){name}(?!\w)", picture[at:]))
        ]
        assert len(places) == len(line), line
        at += min(places)


@pytest.mark.parametrize("verb", VERBS)
def test_each_main_verb_has_a_walk(verb: str) -> None:
    walk = PAGE.split(f"\n## The way of {verb}\n", 1)[1].split("\n## ", 1)[0]
    steps = [int(number) for number in re.findall(r"^(\d+)\. ", walk, re.MULTILINE)]
    assert steps == list(range(1, len(steps) + 1))
    assert 4 <= len(steps) <= 8
