"""Where a run ran: interpreter, platform, packages, and the variables that may change what it does."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from dsvc.model.run_record import Environment
from dsvc.porcelain.state.program import find_program
from dsvc.porcelain.state.redaction import redacted_mapping

VARIABLES: Final = re.compile(
    r"LANG|LANGUAGE|LC_[A-Z]+|TZ|PYTHON[A-Z0-9_]*|VIRTUAL_ENV|CONDA_(?:DEFAULT_ENV|PREFIX)"
    r"|(?:OMP|MKL|OPENBLAS|NUMEXPR|VECLIB|BLIS|POLARS|RAYON|ARROW|TORCH|XLA|JAX|NCCL|CUBLAS|CUDNN|HF"
    r"|TRANSFORMERS|TOKENIZERS|PANDAS|DUCKDB|SPARK|RAY|DASK|SOURCE_DATE)_[A-Z0-9_]+"
    r"|(?:CUDA|ROCM|HIP|NVIDIA)_[A-Z0-9_]+|SEED|RANDOM_SEED"
    r"|TF_(?:CPP|CUDNN|DETERMINISTIC|ENABLE|FORCE|GPU|NUM|XLA)[A-Z0-9_]*"
)
"""Variables that are recorded; no others are."""
MAX_VALUE_CHARACTERS: Final = 2000
ANSWER_SECONDS: Final = 5
_PYTHON: Final = re.compile(r"(?:python|pypy)[0-9.]*")
_SEPARATORS: Final = re.compile(r"[-_.]+")
_QUESTION: Final = "import json,sys;print(json.dumps([sys.version.split()[0],sys.path]))"


class EnvironmentProbe:
    """Finds out where a command runs, while it runs: another interpreter is asked beside it.

    Parameters
    ----------
    command : sequence of str
        Its words.
    environ : mapping of str to str
        Its environment.
    folder : str
        Where it runs.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], folder: str) -> None:
        self._environ = environ
        self._process: subprocess.Popen[bytes] | None = None
        first = command[0] if command else ""
        if not _PYTHON.fullmatch(os.path.basename(first)):
            return
        found = find_program(os.path.join(folder, first) if "/" in first else first, environ)
        if found is None or _is_own(found):
            return
        try:
            self._process = subprocess.Popen(
                [found, "-c", _QUESTION],
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            return

    def result(self) -> Environment:
        """Return what was found out; an interpreter that doesn't answer is as good as unknown."""
        if self._process is None:
            return current_environment(self._environ)
        python, packages = "", dict[str, str]()
        try:
            answer, _ = self._process.communicate(timeout=ANSWER_SECONDS)
            version, places = json.loads(answer)
            python = str(version)[:MAX_VALUE_CHARACTERS]
            packages = installed_packages(tuple(str(place) for place in places if place))
        except (subprocess.TimeoutExpired, ValueError, TypeError):
            self.close()
        return _environment(python, packages, self._environ)

    def close(self) -> None:
        """Wait for nothing any more."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def _is_own(program: str) -> bool:
    """Whether a program is the interpreter that runs this, in the same environment."""
    own = sys.executable
    return os.path.dirname(os.path.abspath(program)) == os.path.dirname(
        os.path.abspath(own)
    ) and os.path.realpath(program) == os.path.realpath(own)


def current_environment(environ: Mapping[str, str]) -> Environment:
    """Environment of this very process, with the variables of `environ`."""
    return _environment(platform.python_version(), installed_packages(tuple(sys.path)), environ)


def own_environment() -> Environment:
    """Environment of what dsvc does itself: neither packages nor variables change that."""
    from dsvc import __version__

    return Environment(dsvc=__version__, python=platform.python_version(), platform=_platform())


def _environment(python: str, packages: Mapping[str, str], environ: Mapping[str, str]) -> Environment:
    from dsvc import __version__

    kept = {
        name: value[:MAX_VALUE_CHARACTERS] for name, value in environ.items() if VARIABLES.fullmatch(name)
    }
    return Environment(
        dsvc=__version__,
        python=python,
        platform=_platform(),
        packages=packages,
        variables=redacted_mapping(kept),
    )


@lru_cache(maxsize=1)
def _platform() -> str:
    """System, kernel and processor, without the C library: that takes a look into the interpreter's file."""
    system = os.uname()
    return f"{system.sysname}-{system.release}-{system.machine}"


@lru_cache(maxsize=4)
def installed_packages(places: tuple[str, ...]) -> dict[str, str]:
    """Versions of installed packages by their normal names, the first place on the path counting.

    Told by the names of their metadata folders, as `importlib.metadata` finds them; reading the metadata
    itself would take a hundred times as long.
    """
    found: dict[str, str] = {}
    for place in places:
        try:
            names = os.listdir(place or ".")
        except OSError:
            continue
        for name in names:
            stem, _, kind = name.rpartition(".")
            package, dash, version = stem.partition("-")
            if kind in ("dist-info", "egg-info") and dash:
                found.setdefault(_SEPARATORS.sub("-", package).lower(), version.split("-py")[0])
    return found
