"""git, with its default configuration but for automatic collection.

`git commit` starts a collection in the background once there are 6,700 loose objects. It would run into the
steps that follow, of git and of others, so it is off: git is faster for it, and its store is what its commits
wrote.
"""

from benchmarks.peers.driver import Commands, Driver
from benchmarks.peers.probe import version_of
from benchmarks.site import Site

IDENTITY = """\
[user]
	name = Bench
	email = bench@example.org
[init]
	defaultBranch = main
[gc]
	auto = 0
"""


class Git(Driver):
    name = "git"
    store_folders = (".git",)

    def version(self) -> str | None:
        return version_of(["git", "--version"])

    def configure(self, site: Site) -> None:
        (site.home / ".gitconfig").write_text(IDENTITY)

    def init(self, site: Site) -> Commands:
        return [["git", "init", "--quiet"]]

    def add(self, site: Site) -> Commands:
        return [["git", "add", "--all"]]

    def commit(self, site: Site, number: int) -> Commands:
        return [["git", "commit", "--quiet", "--message", f"version {number}"]]

    def status(self, site: Site) -> Commands:
        return [["git", "status"]]

    def checkout_first(self, site: Site) -> Commands:
        return [["git", "checkout", "--quiet", "HEAD~1"]]

    def restore(self, site: Site) -> Commands:
        return [["git", "restore", "."]]

    def check_data(self, site: Site) -> Commands:
        return [["git", "fsck", "--full", "--no-progress"]]
