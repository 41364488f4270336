"""Files of a release that are written out are the bytes that they are: nothing beside them says otherwise."""

from __future__ import annotations

import json
import os
from pathlib import Path

from dsvc.cli.main import run as dsvc
from dsvc.testing.faults import BrokenPromiseError, tried
from tests.faultkit import repository
from tests.loop_scenarios import COMMANDS


def test_h53_an_export_has_the_files_of_the_release_and_documents_of_ours(tmp_path: Path) -> None:
    """No server gives files out yet; beside the data stands no page, no script and no program."""
    root, target = str(tmp_path / "case"), tmp_path / "out"
    os.mkdir(root)
    COMMANDS["release-create"][0](root)
    assert dsvc(["-C", root, "release", "create", "v1"]) == 0
    assert dsvc(["-C", root, "release", "export", "v1", "-o", str(target)]) == 0
    with repository(root) as repo:
        stored = {entry.path.decode() for entry in repo.manifest_of("v1").entries() if entry.is_file}
    written = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    beside = {Path(name).name for name in written if not any(name.endswith(each) for each in stored)}
    if any(name.endswith((".html", ".svg", ".js", ".pdf", ".php", ".htaccess")) for name in beside):
        raise BrokenPromiseError(f"written beside the data: {beside}")
    for path in target.rglob("*"):
        assert not path.is_symlink()
        assert not path.is_file() or not path.stat().st_mode & 0o111
    json.loads((target / "croissant.json").read_bytes())
    tried("hostile cases", len(written))
