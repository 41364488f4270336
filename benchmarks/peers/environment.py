"""Virtual environments for the peers that come as Python packages, under `.bench`."""

import subprocess
import sys
from pathlib import Path

from benchmarks.site import BENCH


def environment_of(package: str) -> Path:
    """The folder of the virtual environment in which `package` is, or will be, installed."""
    return BENCH / f"venv-{package}"


def install(package: str, *others: str) -> None:
    """Install `package`, and others that it needs beside it, into a virtual environment of its own, once."""
    folder = environment_of(package)
    done = folder / ".installed"
    if done.exists():
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", package, *others], check=True)
    done.touch()


def package_version(package: str) -> str | None:
    """The installed version, or None."""
    python = environment_of(package) / "bin" / "python"
    if not python.exists():
        return None
    program = f"import importlib.metadata as m; print(m.version({package!r}))"
    result = subprocess.run([str(python), "-c", program], capture_output=True, text=True, check=False)
    return result.stdout.strip() or None
