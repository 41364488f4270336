"""daff, which compares tables in CSV files; a Python package."""

from benchmarks.peers.environment import environment_of, install, package_version

LIMIT_S = 600


def install_daff() -> None:
    """Install it into an environment of its own."""
    install("daff")


def version() -> str | None:
    """The installed version, or None."""
    return package_version("daff")


def diff(old: str, new: str, key: str, output: str) -> list[str]:
    """The command line that writes how two files differ; it is ended after ten minutes."""
    program = str(environment_of("daff") / "bin" / "daff")
    return ["timeout", str(LIMIT_S), program, "diff", "--id", key, "--output", output, old, new]
