"""What the harness asks of a tool: the command lines of each step."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.site import Site

Commands = list[list[str]]


class Driver(ABC):
    """A tool. A step is a list of command lines, run one after the other; None where there is no such step.

    The defaults are those of a tool that keeps its store in a hidden folder of the tree.
    """

    name: str
    store_folders: ClassVar[Sequence[str]] = ()
    restores_elsewhere: ClassVar[bool] = False

    @abstractmethod
    def version(self) -> str | None:
        """The version, or None where the tool is not installed."""

    def install(self) -> None:  # noqa: B027  most tools need nothing
        """Install what can be installed without a system package; nothing by default."""

    def environment(self, site: Site) -> Mapping[str, str]:
        """What the tool wants in its environment."""
        return {}

    def configure(self, site: Site) -> None:  # noqa: B027  most tools need nothing
        """Write configuration files before `init`; not measured."""

    @abstractmethod
    def init(self, site: Site) -> Commands:
        """Make an empty repository."""

    @abstractmethod
    def add(self, site: Site) -> Commands | None:
        """Record the state of the data folder for the next commit."""

    @abstractmethod
    def commit(self, site: Site, number: int) -> Commands:
        """Make commit `number` of what was added."""

    def committed(self, site: Site, number: int) -> Commands:
        """Commands after commit `number` that are not measured."""
        return []

    def add_unchanged(self, site: Site) -> Commands | None:
        """Add, with nothing changed since the last commit."""
        return self.add(site)

    @abstractmethod
    def status(self, site: Site) -> Commands | None:
        """Tell what changed."""

    @abstractmethod
    def checkout_first(self, site: Site) -> Commands | None:
        """Bring the tree from commit 2 to commit 1."""

    @abstractmethod
    def restore(self, site: Site) -> Commands:
        """Bring back everything of commit 1 where nothing is left of it but the store."""

    def check_data(self, site: Site) -> Commands | None:
        """Compare every stored byte with its digests; None where there is no such command."""
        return None

    def stores(self, site: Site) -> list[Path]:
        """The folders whose size is the size of the store."""
        return [site.tree / folder for folder in self.store_folders]

    def restored_data(self, site: Site) -> Path:
        """Where `restore` puts the data folder."""
        return site.empty / "data" if self.restores_elsewhere else site.data
