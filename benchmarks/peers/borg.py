"""borg without encryption, once with zstd,3 and once with its default, lz4."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers.driver import Commands, Driver
from benchmarks.peers.probe import version_of
from benchmarks.site import Site


class Borg(Driver):
    restores_elsewhere = True

    def __init__(self, *, name: str, compression: str) -> None:
        self.name = name
        self._compression = compression

    def version(self) -> str | None:
        return version_of(["borg", "--version"])

    def environment(self, site: Site) -> Mapping[str, str]:
        return {
            "BORG_BASE_DIR": str(site.home),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
            "BORG_REPO": str(site.store),
        }

    def init(self, site: Site) -> Commands:
        return [["borg", "init", "--encryption", "none"]]

    def add(self, site: Site) -> None:
        return None

    def commit(self, site: Site, number: int) -> Commands:
        return [["borg", "create", "--compression", self._compression, f"::v{number}", "data"]]

    def add_unchanged(self, site: Site) -> Commands:
        return self.commit(site, 3)

    def status(self, site: Site) -> None:
        return None

    def checkout_first(self, site: Site) -> None:
        return None

    def restore(self, site: Site) -> Commands:
        return [["sh", "-c", f"cd '{site.empty}' && exec borg extract ::v1"]]

    def check_data(self, site: Site) -> Commands:
        return [["borg", "check", "--verify-data"]]

    def stores(self, site: Site) -> list[Path]:
        return [site.store]
