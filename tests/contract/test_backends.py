"""Every backend keeps the contract of `dsvc.testing.contracts`."""

from __future__ import annotations

import gc
from pathlib import Path

from dsvc.fs import files
from dsvc.store.backend import Backend
from dsvc.store.layout import Layout
from dsvc.store.local_backend import LocalBackend
from dsvc.store.memory_backend import MemoryBackend
from dsvc.testing.contracts import BackendContract


def layout_in(folder: Path) -> Layout:
    layout = Layout(str(folder / ".dsvc"))
    for path in layout.folders():
        files.make_folders(path)
    return layout


class TestLocalBackend(BackendContract):
    def make_backend(self, folder: Path) -> Backend:
        return LocalBackend(layout_in(folder))


class TestLocalBackendWithoutFsync(BackendContract):
    def make_backend(self, folder: Path) -> Backend:
        return LocalBackend(layout_in(folder), durable=False)


class TestMemoryBackend(BackendContract):
    def make_backend(self, folder: Path) -> Backend:
        return MemoryBackend()


def test_foreign_files_are_no_packs(tmp_path: Path) -> None:
    layout = layout_in(tmp_path)
    backend = LocalBackend(layout)
    for name in ("x.pack", "README", "a" * 64, "A" * 64 + ".pack", "../x.pack"[3:]):
        (Path(layout.packs) / name).write_bytes(b"")
    (Path(layout.trash) / "note").write_bytes(b"")
    assert backend.list_packs() == []
    assert backend.list_trash() == {}


def test_mapping_keeps_no_descriptor(tmp_path: Path) -> None:
    backend = LocalBackend(layout_in(tmp_path))
    contract = TestLocalBackend()
    pack = contract.publish(backend, 1, b"x" * 10_000)
    backend.read(pack, 0, 1)
    # What other tests left to be collected shall not be closed between the two counts.
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    views = [backend.view(pack, 5000, 100) for _ in range(50)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert all(bytes(view) == b"x" * 100 for view in views)
