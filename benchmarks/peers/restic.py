"""restic with its defaults (repository version 2, compression auto); its cache is beside the store."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers.driver import Commands, Driver
from benchmarks.peers.probe import version_of
from benchmarks.site import Site


class Restic(Driver):
    name = "restic"
    restores_elsewhere = True

    def version(self) -> str | None:
        return version_of(["restic", "version"])

    def environment(self, site: Site) -> Mapping[str, str]:
        return {"RESTIC_REPOSITORY": str(site.store), "RESTIC_PASSWORD": "bench"}

    def init(self, site: Site) -> Commands:
        return [["restic", "init", "--quiet"]]

    def add(self, site: Site) -> None:
        return None

    def commit(self, site: Site, number: int) -> Commands:
        return [["restic", "backup", "--quiet", "--tag", f"v{number}", "data"]]

    def add_unchanged(self, site: Site) -> Commands:
        return self.commit(site, 3)

    def status(self, site: Site) -> None:
        return None

    def checkout_first(self, site: Site) -> None:
        return None

    def restore(self, site: Site) -> Commands:
        return [["restic", "restore", "--quiet", "--tag", "v1", "--target", str(site.empty), "latest"]]

    def check_data(self, site: Site) -> Commands:
        return [["restic", "check", "--quiet", "--read-data"]]

    def stores(self, site: Site) -> list[Path]:
        return [site.store]
