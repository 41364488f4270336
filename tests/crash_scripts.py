"""The alphabet of commands that scripts are made of, all scripts of some length, and where they begin."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

from dsvc.model.run_record import RunKind
from dsvc.porcelain.repository import Repository
from dsvc.porcelain.runs.run_spec import RunSpec
from dsvc.porcelain.state.values import ResetMode
from dsvc.testing.image import Image
from tests.crash_judge import Verb
from tests.crashkit import Edit
from tests.faultkit import Command, commit_all, open_in, repository, write

_FIELDS = {
    "title": "Words",
    "acquisition": "open_dataset",
    "legal_basis": "licence",
    "license_expression": "CC-BY-4.0",
}
_RAW = b"id,word\n1,one\n2,two\n3,three\n"


def _prepare(root: str) -> None:
    """Main and topic with a commit each, that merge; a file was staged, and then edited."""
    Repository.init(root)
    repo = open_in(root)
    write(root, {b"a.txt": b"one\n", "资料/raw.csv".encode(): _RAW, b"old/file": b"old\n" * 40})
    commit_all(repo, "first")
    repo.checkout(new_branch="topic")
    write(root, {b"topic/file": b"topic\n"})
    commit_all(repo, "on topic")
    repo.checkout("main")
    os.remove(os.path.join(root, "old/file"))
    write(root, {b"a.txt": b"main\n"})
    commit_all(repo, "on main")


_image: list[Image] = []


def start(folder: Path) -> Image:
    """The repository that every script begins in; made once in each process."""
    if not _image:
        root = folder / "start"
        root.mkdir()
        _prepare(str(root))
        _image.append(Image(str(root)))
    return _image[0]


def _run(repo: Repository) -> object:
    spec = RunSpec(
        name="keep",
        kind=RunKind.FILTER,
        inputs=["资料/raw.csv".encode()],
        outputs=[b"kept.csv"],
        keys={None: ("id",)},
    )
    command = ["sh", "-c", "grep -v -e one 资料/raw.csv > kept.csv"]
    return repo.run(spec, command, environ={"PATH": os.environ["PATH"]})


def _source(repo: Repository) -> object:
    return repo.source_add("web", ["资料/raw.csv".encode()], fields=_FIELDS)


def _switch(repo: Repository) -> object:
    """To the other branch, whatever was edited."""
    on_main = repo.history.refs.head().branch == "refs/heads/main"
    return repo.checkout("topic" if on_main else "main", force=True)


ALPHABET: dict[str, Command] = {
    "add": lambda r: r.add(all=True),
    "commit": lambda r: r.commit("more", all=True, allow_empty=True),
    "checkout": _switch,
    "merge": lambda r: r.merge("topic"),
    "gc": lambda r: r.gc(grace_seconds=0),
    "restore": lambda r: r.restore([b""]),
    "reset": lambda r: r.reset("HEAD", ResetMode.HARD),
    "tag": lambda r: r.create_tag("v1", message="version 1"),
    "run": _run,
    "source": _source,
    "undo": lambda r: r.undo(),
    "stash": lambda r: r.stash("work"),
}


def scripts(length: int) -> list[tuple[str, ...]]:
    """All scripts of at most `length` commands, in an order that has nothing to do with their names."""
    found = [each for n in range(1, length + 1) for each in itertools.product(ALPHABET, repeat=n)]
    return sorted(found, key=lambda each: (crc32(" ".join(each).encode()), each))


def rows() -> list[tuple[str, ...]]:
    """As many scripts as there are commands, each of all of them: in all, each comes once after each other.

    The square of E. J. Williams (1949): 0, 1, n-1, 2, n-2, … and the same with 1, 2, … added, modulo n.
    """
    names = list(ALPHABET)
    first = [(number + 1) // 2 * (-1) ** (number + 1) for number in range(len(names))]
    return [tuple(names[(each + row) % len(names)] for each in first) for row in range(len(names))]


def steps(script: Sequence[str]) -> list[tuple[Edit, Verb]]:
    """Each command after the user changed a tracked file and another one."""
    return [(_editing(number), verb(ALPHABET[name])) for number, name in enumerate(script)]


def verb(command: Command) -> Verb:
    """A command, with its repository opened for it."""

    def run(root: str) -> object:
        with repository(root) as repo:
            return command(repo)

    return run


def _editing(number: int) -> Edit:
    def edit(root: str) -> None:
        noise = random.Random(number).randbytes(300)
        write(root, {b"a.txt": b"work %d\n" % number, b"work": noise, b"new/%d" % number: b"%d\n" % number})

    return edit
