"""DVC over git, with its defaults and `core.autostage`; no analytics, no update check."""

from collections.abc import Mapping

from benchmarks.peers.driver import Commands, Driver
from benchmarks.peers.environment import environment_of, install, package_version
from benchmarks.peers.git import IDENTITY
from benchmarks.site import Site

PROGRAM = str(environment_of("dvc") / "bin" / "dvc")


class Dvc(Driver):
    name = "dvc"
    store_folders = (".dvc", ".git")

    def version(self) -> str | None:
        return package_version("dvc")

    def install(self) -> None:
        install("dvc")

    def environment(self, site: Site) -> Mapping[str, str]:
        return {
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(site.home / "dvc-site"),
            "DVC_GLOBAL_CONFIG_DIR": str(site.home / "dvc-global"),
            "DVC_SYSTEM_CONFIG_DIR": str(site.home / "dvc-system"),
        }

    def configure(self, site: Site) -> None:
        (site.home / ".gitconfig").write_text(IDENTITY)
        (site.home / "dvc-global").mkdir()
        (site.home / "dvc-global" / "config").write_text(
            "[core]\n    analytics = false\n    check_update = false\n    autostage = true\n"
        )

    def init(self, site: Site) -> Commands:
        return [["git", "init", "--quiet"], [PROGRAM, "init", "--quiet"]]

    def add(self, site: Site) -> Commands:
        return [[PROGRAM, "add", "--quiet", "data"]]

    def commit(self, site: Site, number: int) -> Commands:
        return [["git", "commit", "--quiet", "--message", f"version {number}"]]

    def status(self, site: Site) -> Commands:
        return [[PROGRAM, "status"]]

    def checkout_first(self, site: Site) -> Commands:
        return [["git", "checkout", "--quiet", "HEAD~1"], [PROGRAM, "checkout", "--quiet"]]

    def restore(self, site: Site) -> Commands:
        return [[PROGRAM, "checkout", "--quiet"]]
