"""A file system in an image whose power can be cut, by the shutdown ioctl of ext4 and xfs."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path

from dsvc.testing.faults import tried

_SHUTDOWN = 0x8004587D
LOG_FLUSHED, NOTHING_FLUSHED = 1, 2
SIZES = {"ext4": 64 << 20, "xfs": 300 << 20}
MAKE = {"ext4": ["mkfs.ext4", "-qF"], "xfs": ["mkfs.xfs", "-qf"]}


def _try(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True)


class Disk:
    """A file system in an image, mounted, whose power can be cut."""

    def __init__(self, kind: str, image: Path, mount: Path) -> None:
        self.kind, self.image, self.mount_point = kind, image, mount

    def make(self) -> None:
        self.mount_point.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(SIZES[self.kind])
        subprocess.run([*MAKE[self.kind], str(self.image)], check=True, capture_output=True)
        self.mount()

    @property
    def root(self) -> str:
        return str(self.mount_point / "data")

    def mount(self) -> None:
        command = ["mount", "-o", "loop", str(self.image), str(self.mount_point)]
        subprocess.run(command, check=True, capture_output=True)

    def unmount(self) -> None:
        for _ in range(100):
            if _try("umount", str(self.mount_point)).returncode == 0:
                return
            time.sleep(0.05)
        raise AssertionError("something holds the file system")

    def cut(self, flag: int) -> None:
        """Cut the power; whoever works there gets errors from now on."""
        fd = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _SHUTDOWN, struct.pack("I", flag))
        finally:
            os.close(fd)
        tried("cuts")

    def boot(self) -> None:
        """Mount it again after a cut, its journal replayed."""
        self.unmount()
        self.mount()

    def close(self) -> None:
        if os.path.ismount(self.mount_point):
            _try("umount", "-l", str(self.mount_point))
        listed = _try("losetup", "-n", "-O", "NAME", "-j", str(self.image))
        for device in listed.stdout.split():
            _try("losetup", "-d", device)
