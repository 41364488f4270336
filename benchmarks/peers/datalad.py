"""DataLad with git-annex, both as Python packages in one environment; default configuration."""

from benchmarks.peers.environment import environment_of, install, package_version

PROGRAM = str(environment_of("datalad") / "bin" / "datalad")
FOLDER = str(environment_of("datalad") / "bin")


def install_datalad() -> None:
    """Install it into an environment of its own."""
    install("datalad", "git-annex")


def version() -> str | None:
    """The installed version, or None."""
    return package_version("datalad")
