"""Oxen, through the compiled module of its Python package (oxen_steps.py); nothing else is loaded."""

from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers.driver import Commands, Driver
from benchmarks.peers.environment import environment_of, install, package_version
from benchmarks.site import Site

PYTHON = str(environment_of("oxenai") / "bin" / "python")
STEPS = str(Path(__file__).with_name("oxen_steps.py"))


class Oxen(Driver):
    name = "oxen"
    store_folders = (".oxen",)

    def version(self) -> str | None:
        return package_version("oxenai")

    def install(self) -> None:
        install("oxenai")

    def environment(self, site: Site) -> Mapping[str, str]:
        return {"OXEN_CONFIG_DIR": str(site.home)}

    def _step(self, *words: str) -> Commands:
        return [[PYTHON, "-I", STEPS, *words]]

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
