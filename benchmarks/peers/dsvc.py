"""dsvc itself, as the console script beside the interpreter that runs the benchmark."""

import sys
from pathlib import Path

from benchmarks.peers.driver import Commands, Driver
from benchmarks.peers.probe import version_of
from benchmarks.site import Site


def program() -> list[str]:
    """The command line of dsvc."""
    script = Path(sys.executable).with_name("dsvc")
    return [str(script)] if script.exists() else [sys.executable, "-m", "dsvc"]


class Dsvc(Driver):
    name = "dsvc"
    store_folders = (".dsvc",)

    def version(self) -> str | None:
        return version_of([*program(), "version"])

    def configure(self, site: Site) -> None:
        (site.home / ".gitconfig").write_text("[user]\n\tname = Bench\n\temail = bench@example.org\n")

    def init(self, site: Site) -> Commands:
        return [[*program(), "init"]]

    def add(self, site: Site) -> Commands:
        return [[*program(), "add", "-A"]]

    def commit(self, site: Site, number: int) -> Commands:
        return [[*program(), "commit", "-m", f"version {number}"]]

    def status(self, site: Site) -> Commands:
        return [[*program(), "status"]]

    def checkout_first(self, site: Site) -> Commands:
        return [[*program(), "checkout", "HEAD~1"]]

    def restore(self, site: Site) -> Commands:
        return [[*program(), "restore", "."]]

    def check_data(self, site: Site) -> Commands:
        return [[*program(), "fsck", "--read-data"]]
