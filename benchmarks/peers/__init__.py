"""The tools that are measured, dsvc among them: one driver each."""

from benchmarks.peers.borg import Borg
from benchmarks.peers.driver import Driver
from benchmarks.peers.dsvc import Dsvc
from benchmarks.peers.dvc import Dvc
from benchmarks.peers.git import Git
from benchmarks.peers.oxen import Oxen
from benchmarks.peers.restic import Restic

DRIVERS: dict[str, Driver] = {
    driver.name: driver
    for driver in (
        Dsvc(),
        Git(),
        Restic(),
        Borg(name="borg", compression="zstd,3"),
        Borg(name="borg-lz4", compression="lz4"),
        Dvc(),
        Oxen(name="oxen", way="package"),
        Oxen(name="oxen-bare", way="bare"),
    )
}

__all__ = ["DRIVERS", "Driver"]
