"""Images of folders, and the place where they are laid out: by rereading little they show what there is."""

from __future__ import annotations

import os
import random
import shutil
import stat
from pathlib import Path

import pytest

from dsvc.testing.image import Bench, Image

Held = dict[str, tuple[str, int, bytes]]
_NAMES = ("a", "b", "folder/c", "folder/d", "folder/deeper/e", "文件")


def _held(root: Path) -> Held:
    """What a folder holds, read anew: kind, mode and bytes."""
    found: Held = {}
    for path in root.rglob("*"):
        mode, name = path.lstat().st_mode, str(path.relative_to(root))
        if path.is_symlink():
            found[name] = ("link", 0, os.fsencode(os.readlink(path)))
        elif path.is_dir():
            found[name] = ("folder", stat.S_IMODE(mode), b"")
        else:
            found[name] = ("file", stat.S_IMODE(mode), path.read_bytes())
    return found


def _of(image: Image) -> Held:
    return {
        **{path: ("folder", mode, b"") for path, mode in image.folders.items()},
        **{path: ("file", mode, data) for path, (mode, data) in image.files.items()},
        **{path: ("link", 0, target) for path, target in image.links.items()},
    }


def _change(root: Path, rest: random.Random) -> None:
    """Something is written, in place or anew, often of the same length; or goes, or is of another kind."""
    path = root / rest.choice(_NAMES)
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = rest.choice(["anew", "in place", "gone", "mode", "link", "folder"])
    there = path.is_file() and not path.is_symlink()
    if kind == "in place" and there:
        with open(path, "r+b") as file:
            file.write(rest.randbytes(1))
        if rest.random() < 0.5:
            os.utime(path, (1, 1))
        return
    if kind == "mode" and there:
        path.chmod(rest.choice([0o600, 0o644, 0o755]))
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.symlink_to(rest.choice(["a", "nowhere"]))
    elif kind != "gone":
        path.write_bytes(rest.randbytes(rest.choice([0, 4, 4, 4, 100])))


@pytest.mark.parametrize("seed", range(4))
def test_what_did_not_change_is_not_read_again_and_all_is_seen(fast_path: Path, seed: int) -> None:
    rest, root, image = random.Random(seed), fast_path / "folder", None
    root.mkdir()
    for _ in range(150):
        _change(root, rest)
        image = Image(str(root), image)
        assert _of(image) == _held(root)
        assert image.key() == Image(str(root)).key()


@pytest.mark.parametrize("mtime", [None, 1_000_000_000])
@pytest.mark.parametrize("seed", range(2))
def test_one_after_the_other_is_laid_out_whatever_was_done_to_it(
    fast_path: Path, seed: int, mtime: int | None
) -> None:
    rest, source = random.Random(seed), fast_path / "source"
    source.mkdir()
    images = []
    for _ in range(30):
        _change(source, rest)
        images.append(Image(str(source)))
    bench = Bench(str(fast_path / "bench"), mtime=mtime)
    for _ in range(150):
        image = rest.choice(images)
        bench.lay_out(image)
        assert _held(Path(bench.root)) == _of(image)
        if mtime is not None:
            assert {os.lstat(f"{bench.root}/{path}").st_mtime for path in image.files} <= {mtime}
        for _ in range(rest.randrange(3)):
            _change(Path(bench.root), rest)
    bench.close()
    assert not os.path.exists(bench.root)
