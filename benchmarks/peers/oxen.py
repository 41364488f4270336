"""Oxen, through its Python package; as `oxen-bare` with the package's compiled module alone (oxen_steps.py).

The first is what a user of the package waits for and is judged; the second is for comparison.
"""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers.driver import Commands, Driver
from benchmarks.peers.environment import environment_of, install, package_version
from benchmarks.site import Site

PYTHON = str(environment_of("oxenai") / "bin" / "python")
STEPS = str(Path(__file__).with_name("oxen_steps.py"))


def configuration(site: Site) -> dict[str, str]:
    """What keeps Oxen from the user's own configuration."""
    return {"OXEN_CONFIG_DIR": str(site.home)}


def diff(name: str, old: str, new: str) -> list[str]:
    """The command line that compares two files; `name` is `oxen` or `oxen-bare`."""
    way = "bare" if name == "oxen-bare" else "package"
    return [PYTHON, "-I", STEPS, way, "diff", old, new]


class Oxen(Driver):
    store_folders = (".oxen",)

    def __init__(self, *, name: str, way: str) -> None:
        self.name = name
        self._way = way

    def version(self) -> str | None:
        return package_version("oxenai")

    def install(self) -> None:
        install("oxenai")

    def environment(self, site: Site) -> Mapping[str, str]:
        return configuration(site)

    def configure(self, site: Site) -> None:
        (site.home / "user_config.toml").write_text('name = "Bench"\nemail = "bench@example.org"\n')

    def _step(self, *words: str) -> Commands:
        return [[PYTHON, "-I", STEPS, self._way, *words]]

    def init(self, site: Site) -> Commands:
        return self._step("init")

    def add(self, site: Site) -> Commands:
        return self._step("add")

    def commit(self, site: Site, number: int) -> Commands:
        return self._step("commit", f"version {number}")

    def committed(self, site: Site, number: int) -> Commands:
        return self._step("branch", f"v{number}")

    def status(self, site: Site) -> Commands:
        return self._step("status")

    def checkout_first(self, site: Site) -> Commands:
        return self._step("checkout", "v1")

    def restore(self, site: Site) -> Commands:
        return self._step("restore")
