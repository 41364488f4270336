"""Repositories for the gate, small enough to be damaged object by object: one passes, the others do not."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from dsvc.lineage.validation import Gate, Outcome
from dsvc.model.errors import DsvcError
from dsvc.porcelain.policy.verdict import CheckResult
from dsvc.store.block import ItemType
from dsvc.store.chunk_store import ChunkStore
from dsvc.store.layout import Layout
from dsvc.store.local_backend import LocalBackend
from dsvc.store.pack import STREAM_OBJECTS, STREAM_TEXT, PackWriter
from dsvc.testing.faults import tried
from dsvc.testing.image import Image
from tests.detector_scans import scan
from tests.faultkit import open_in
from tests.lineagekit import Lab, numbered
from tests.porcelain.working import Work

DEFAULT: Final = b'[policy]\npacks = ["default"]\npurpose = "research"\nshared = false\n'
CHINA: Final = b'[policy]\npacks = ["default", "cn-genai"]\nwords = "words.txt"\npurpose = "research"\n'
LICENCE: Final = b"you may use %b\n"
WORDS: Final = "# version: 1\n# updated: 2026-11-20\n[涉赌]\n百家乐\n".encode()
SECRET: Final = (
    b'{"id": 1, "text": "aws_secret_access_key = \\"wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzz123\\""}\n'
)
OWN: Final = b"""id = "own"
version = "1"
date = "2026-01-01"
title = { en = "Own", zh = "Own" }

[rules.SRC-04]
severity = "blocking"
stage = "commit"
clause = "1.2"
parameters = { max_rate = 0.05 }
"""


def good(lab: Lab) -> None:
    """Stage a table of a source that has a licence, and what a run made of it."""
    files = lab.put({b"raw.csv": numbered(4), b"clean.csv": numbered(3)})
    source(lab, "web", [b"raw.csv"])
    lab.run("clean", [files[b"raw.csv"]], [files[b"clean.csv"]], {(0, 0): [(0, 0), (1, 1), (2, 2)]})


def source(lab: Lab, name: str, paths: Sequence[bytes], **fields: object) -> None:
    """Record a source with the text of its licence as evidence."""
    licence = os.path.join(os.path.dirname(lab.repo.root), f"licence-{name}.txt")
    with open(licence, "wb") as stream:
        stream.write(LICENCE % name.encode())
    given = {
        "title": "A source",
        "acquisition": "open_dataset",
        "legal_basis": "licence",
        "license_expression": "CC-BY-4.0",
        **fields,
    }
    lab.repo.source_add(name, list(paths), fields=given, evidence=[f"licence_text={licence}"])


def _secret(lab: Lab) -> None:
    good(lab)
    lab.put({b"more.jsonl": SECRET})
    source(lab, "more", [b"more.jsonl"])


def _no_source(lab: Lab) -> None:
    good(lab)
    lab.put({b"more.csv": numbered(5)})


def _withdrawn(lab: Lab) -> None:
    good(lab)
    lab.repo.commit("before")
    lab.put({b"raw.csv": numbered(5)})
    lab.repo.source_update("web")
    lab.repo.source_withdraw("web", "revoked")


def _harmful(lab: Lab) -> None:
    lab.put({b"own.toml": OWN, b"dsvc.toml": DEFAULT.replace(b'"default"', b'"default", "own.toml"')})
    good(lab)
    lab.put({b"more.csv": numbered(5)})
    source(
        lab,
        "more",
        [b"more.csv"],
        pre_collection_assessment={"sample": "100", "harmful_rate": "0.2", "date": "2026-11-01"},
    )


def _china(lab: Lab) -> None:
    lab.put({b"dsvc.toml": CHINA, b"words.txt": WORDS})
    good(lab)


REFUSED: Final[dict[str, Callable[[Lab], None]]] = {
    "secret": _secret,
    "no source": _no_source,
    "withdrawn": _withdrawn,
    "harmful": _harmful,
    "china": _china,
}


def policy(folder: Path) -> Lab:
    """Make a repository whose first commit names the default policy."""
    lab = Lab(Work(folder))
    lab.put({b"dsvc.toml": DEFAULT})
    lab.repo.commit("policy")
    return lab


def warm() -> None:
    """Load what detectors stand on, so that the processes in which they look need not."""
    from dsvc.policy.detectors.secrets import Secrets

    scan(Secrets(), "nothing")


def staged(folder: Path, world: Callable[[Lab], None]) -> Image:
    """A repository in which a world waits for a commit."""
    lab = policy(folder)
    world(lab)
    lab.repo.check(staged=True, gate=Gate.COMMIT)
    lab.repo.backend.forget()
    return Image(str(folder))


def committed(folder: Path, world: Callable[[Lab], None]) -> Image:
    """A repository in which a world was committed, past the gate."""
    lab = policy(folder)
    world(lab)
    lab.repo.commit("world", no_verify=True)
    lab.repo.check()
    lab.repo.backend.forget()
    return Image(str(folder))


@lru_cache
def image(name: str, waits: bool) -> Image:
    """A repository by name, waiting for a commit or committed past the gate; each is made once."""
    warm()
    world = good if name == "good" else REFUSED[name]
    with tempfile.TemporaryDirectory() as folder:
        return (staged if waits else committed)(Path(folder) / "made", world)


class Stored(NamedTuple):
    """An object of the store."""

    id: bytes
    type: int
    data: bytes


def objects(root: str) -> list[Stored]:
    """Every object in the packs of a repository."""
    store = ChunkStore(LocalBackend(Layout(os.path.join(root, ".dsvc")), durable=False))
    found = {
        id_: Stored(id_, place.item_type, bytes(store.read_at(footer, place)))
        for footer in store.index.footers()
        for id_, place in footer.rows()
    }
    store.backend.forget()
    return sorted(found.values())


def put_packs(root: str, items: Iterable[Stored]) -> None:
    """Replace the packs of a repository by one that holds these objects, whatever their ids."""
    layout = Layout(os.path.join(root, ".dsvc"))
    for folder, _, names in os.walk(layout.packs):
        for name in names:
            os.remove(os.path.join(folder, name))
    writer = PackWriter(LocalBackend(layout, durable=False))
    for item in items:
        stream = STREAM_TEXT if item.type == ItemType.CHUNK else STREAM_OBJECTS
        writer.put(item.id, item.data, item.type, stream)
    writer.publish()


def verdict(root: str, **more: Any) -> CheckResult | DsvcError:
    """What the gate says, as another process would ask it."""
    repo = open_in(root)
    try:
        return repo.check(**more)
    except DsvcError as error:
        return error
    finally:
        repo.backend.forget()


def commits(root: str) -> bool:
    """Whether what is staged can be committed; anything but a typed error is a bug."""
    repo = open_in(root)
    try:
        repo.commit("in")
    except DsvcError:
        return False
    finally:
        repo.backend.forget()
    return True


def passed(found: CheckResult | DsvcError) -> bool:
    return isinstance(found, CheckResult) and (found.outcome is Outcome.PASS or found.gate_exit_code == 0)


def refused(root: str, *, waits: bool) -> None:
    """See that a gate does not let through what it refuses."""
    found = verdict(root, staged=waits)
    assert not passed(found)
    assert not isinstance(found, DsvcError) or found.exit_code not in (0, 50)
    if waits:
        assert not commits(root)
    tried("hostile cases")
