"""The write log is whole: nothing is written under ``.dsvc`` but by the operations of the write seam.

strace sees what a process asks the system for, C libraries included; the log has what the seam told. Each
name that was opened for writing, made, moved or removed is in both. Lock files are written beside the seam,
and what commands make in a scratch folder of their own isn't dsvc's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dsvc.testing.faults import tried
from tests import crash_scripts
from tests.crash_scripts import ALPHABET

_CALLS = (
    "open,openat,creat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,"
    "link,linkat,symlink,symlinkat"
)
_OPENED = re.compile(r"^(?:open|openat|creat)\(.*O_(?:WRONLY|RDWR).* = \d+<(.*)>$")
_NAMED = re.compile(r"^(rename|unlink|rmdir|mkdir|link|symlink)\w*\((.*)\) += 0$")
_NAME = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"')
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")
_ALIKE = {
    "open_new": "open",
    "append": "open",
    "rename": "rename",
    "link": "link",
    "link_unnamed": "link",
    "symlink": "symlink",
    "make_folder": "mkdir",
    "unlink": "unlink",
    "remove_folder": "unlink",
    "discard_tree": "unlink",
}
_PROGRAM = """
import json, sys
from dsvc.fs import recording
from dsvc.model.errors import DsvcError
from tests.crash_scripts import steps

root, told, *names = sys.argv[1:]
def tell(each):
    print(json.dumps([each.name, each.path]), file=log)

with open(told, "w") as log, recording.recorded(tell):
    for edit, command in steps(names):
        edit(root)
        try:
            command(root)
        except DsvcError as error:
            print(error.code)
"""


def _seen(folder: Path) -> set[tuple[str, str]]:
    """What was changed by name, by the calls of all processes that succeeded."""
    found = set()
    for path in folder.glob("trace*"):
        # What isn't ASCII stands there in octal.
        text = _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), path.read_bytes())
        for line in text.decode(errors="replace").splitlines():
            if opened := _OPENED.match(line):
                found.add(("open", opened[1]))
            elif named := _NAMED.match(line):
                names = _NAME.findall(named[2])
                # Of a rename and a link the last name is the new one.
                place = os.path.normpath(os.path.join(*names[-1]))
                found.add(("unlink" if named[1] == "rmdir" else named[1], place))
    return found


def test_all_that_is_written_goes_through_the_seam(fast_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is missing")
    image = crash_scripts.start(fast_path)
    root, told = str(fast_path / "repo"), fast_path / "told"
    image.lay_out(root)
    names = [*ALPHABET, "commit", "merge", "gc"]
    trace = ["strace", "-ff", "-y", "-qq", "-s", "4096", "--seccomp-bpf", "-o", str(fast_path / "trace")]
    program = [sys.executable, "-c", _PROGRAM, root, str(told), *names]
    ran = subprocess.run(
        [*trace, "-f", "-e", f"trace={_CALLS}", *program],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if "ptrace" in ran.stderr and ran.returncode:
        pytest.skip(f"strace can't trace here: {ran.stderr.splitlines()[0]}")
    assert ran.returncode == 0, ran.stderr
    changes = [json.loads(line) for line in told.read_text().splitlines()]
    known = {(_ALIKE[name], path) for name, path in changes if name in _ALIKE}
    inside = os.path.join(root, ".dsvc", "")
    seen = {(call, path) for call, path in _seen(fast_path) if path.startswith(inside)}
    beside = (os.path.join(inside, "locks/"), os.path.join(inside, "tmp/run"))
    unknown = {each for each in seen - known if not each[1].startswith(beside) and "/#" not in each[1]}
    assert not unknown
    # The trace is no empty one: it has what the seam told.
    assert {each for each in known if each[1].startswith(inside) and each[0] in ("open", "rename")} <= seen
    assert len(seen) > 200
    tried("write calls", len(seen))
