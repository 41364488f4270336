"""Images, sounds, archives and YAML that do harm where they are decoded: stored, and never decoded."""

from __future__ import annotations

import io
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from dsvc.cli.main import run as dsvc
from dsvc.porcelain.repository import Repository
from dsvc.testing.faults import BrokenPromiseError
from tests.feedbackkit import FeedbackLab
from tests.outside import watched

SIDE = 50_000


def png_bomb() -> bytes:
    """50,000 × 50,000 pixels of one bit each: 312 MB in 300 KB."""
    packer = zlib.compressobj(1)
    row = bytes(1 + SIDE // 8)
    data = b"".join(packer.compress(row * 100) for _ in range(SIDE // 100)) + packer.flush()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def wav() -> bytes:
    return (
        b"RIFF\xff\xff\xff\xffWAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 65535, 2**31, 2**31, 4, 16)
        + b"data\xff" * 4
    )


def zip_of(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def zip_of_zips(depth: int) -> bytes:
    data = zip_of({"bomb": bytes(1 << 24)})
    for _ in range(depth):
        data = zip_of({f"{number}.zip": data for number in range(10)})
    return data


def tar_slip() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name in ("../../slipped", "/tmp/slipped", "a/../../slipped"):
            info = tarfile.TarInfo(name)
            info.size = 3
            archive.addfile(info, io.BytesIO(b"x\n\n"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc"
        archive.addfile(link)
    return stream.getvalue()


YAML = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n".encode()
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
RUNS = b"!!python/object/apply:os.system ['touch slipped']\n"
SVG = (
    b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "&%c;&%c;&%c;&%c;&%c;&%c;&%c;&%c;">' % (b, *[b - 1] * 8) for b in b"bcdefghij")
    + b'<!ENTITY x SYSTEM "file:///etc/passwd">]><svg onload="alert(1)"><script>alert(1)</script>&j;&x;</svg>'
)


def files() -> dict[str, bytes]:
    return {
        "bomb.png": png_bomb(),
        "声.wav": wav(),
        "x.svg": SVG,
        "page.xml": SVG,
        "slip.zip": zip_of({"../../slipped": b"x", "/tmp/slipped": b"x", "a\\..\\..\\slipped": b"x"}),
        "zips.zip": zip_of_zips(4),
        "slip.tar": tar_slip(),
        "alias.yaml": YAML,
        ".pre-commit-config.yaml": YAML,
        ".pre-commit-hooks.yaml": RUNS,
        "dsvc.yaml": RUNS,
        "README.md": b"---\n" + YAML + RUNS + b"---\n",
        "bomb.gz": zlib.compress(bytes(1 << 26), 9),
    }


VERBS = [
    "add -A",
    "status",
    "commit -m media",
    "diff --staged",
    "check",
    "source add media . --field title=t --acquisition crawl",
    "show --stat",
    "ls -r",
    "cat HEAD:x.svg",
    "du",
    "fsck --read-data",
    "checkout -b other",
]


def test_h46_h48_nothing_is_decoded_and_nothing_unpacked(tmp_path: Path) -> None:
    root = tmp_path / "a" / "b" / "r"
    Repository.init(str(root)).close()
    for name, data in files().items():
        (root / name).write_bytes(data)

    def case(line: str) -> Callable[[], object]:
        def run() -> tuple[int, list[str]]:
            code = dsvc(["-C", str(root), *line.split()])
            return code, sorted({name.partition(".")[0] for name in sys.modules} & {"yaml", "PIL", "wave"})

        return run

    before = sorted({name.partition(".")[0] for name in sys.modules} & {"yaml", "PIL", "wave"})
    for name, ended in watched({line: case(line) for line in VERBS}, root).items():
        if ended.value is None or ended.value[0] not in (0, 1, 2, 22) or ended.value[1] != before:
            raise BrokenPromiseError(f"{name}: {ended}")
    assert not list(tmp_path.rglob("slipped"))
    assert (root / "bomb.png").read_bytes()[:4] == b"\x89PNG"


def test_h48_an_archive_of_results_has_limits(tmp_path: Path) -> None:
    """The one format of results that is an archive: what it may unpack to is bounded; nothing is written."""
    lab = FeedbackLab(tmp_path)
    lab.repo.close()
    header = b'{"version": 2, "status": "success", "eval": {"task": "t", "model": "m"}}'
    members: dict[str, dict[str, bytes]] = {
        "zip of zips": {"header.json": zip_of_zips(2), "samples/1_epoch_1.json": zip_of_zips(2)},
        "many members": {"header.json": header, **{f"samples/{n}_epoch_1.json": b"{}" for n in range(5000)}},
        "long member": {"header.json": b'{"a": "' + b"x" * (300 << 20) + b'"}'},
        "slip": {"../header.json": header, "/header.json": header, "header.json/../x": header},
    }

    def case(path: Path) -> Callable[[], object]:
        return lambda: lab.repo.feedback_import(str(path), subject="a.jsonl", suite="s", format="inspect")

    cases = {}
    for kind, archive in members.items():
        path = lab.files / f"{kind}.eval"
        path.write_bytes(zip_of(archive))
        cases[kind] = case(path)
    for kind, ended in watched(cases, Path(lab.root)).items():
        assert ended.code in (2, 14, 41), (kind, ended)
