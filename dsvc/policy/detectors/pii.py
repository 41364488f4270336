"""Personal data: a small table of recognisers for Chinese and international forms.

Text is looked at in whatever encoding and compression it has, tables in columns by their text and long
numbers. What is no text (pictures, sound, arrays) is clean with ``not text`` as its reason and nothing
scanned: nobody can say more of it by patterns. A document or archive that may hold text inside, such as PDF
or ZIP, is unknown.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Final

from dsvc.model.detection import Detection
from dsvc.policy.detectors.detector import DetectorUnavailableError, ScannedFile
from dsvc.policy.detectors.pii_kinds import PiiKind

if TYPE_CHECKING:
    from dsvc.policy.detectors.text_scan import Finder

_VERSION: Final = "1"


@cache
def library_version(package: str, extra: str) -> str:
    """Name a library with its version.

    Raises
    ------
    DetectorUnavailableError
        If it is not installed, naming the extra that brings it.
    """
    try:
        return f"{package}-{version(package)}"
    except PackageNotFoundError as error:
        raise DetectorUnavailableError(
            f"{package}, which a detector stands on, is not installed (pip install 'dsvc[{extra}]')",
            hint=f"install it with: pip install 'dsvc[{extra}]'",
            details={"package": package},
        ) from error


class Pii:
    """Looks for personal data.

    Parameters
    ----------
    kinds : collection of PiiKind or None
        What is looked for; None: everything.
    presidio : bool
        Whether the pattern recognisers of presidio look, too.
    """

    name = "pii"

    def __init__(self, kinds: Collection[PiiKind] | None = None, *, presidio: bool = False) -> None:
        self._kinds = frozenset(PiiKind if kinds is None else kinds)
        self._presidio = presidio

    def version(self) -> str:
        """Version, with those of python-stdnum and phonenumbers, and of presidio where it looks.

        Raises
        ------
        DetectorUnavailableError
            If one of these is not installed.
        """
        libraries = [library_version(each, "detectors") for each in ("python-stdnum", "phonenumbers")]
        if self._presidio:
            libraries.append(library_version("presidio-analyzer", "presidio"))
        return "+".join((_VERSION, *libraries))

    def config(self) -> Mapping[str, str]:
        """Which kinds are looked for, and whether presidio looks, too."""
        return {"kinds": ",".join(sorted(self._kinds)), "presidio": str(self._presidio).lower()}

    def scan(self, file: ScannedFile) -> Detection:
        """Look at a file.

        Raises
        ------
        DetectorUnavailableError
            As `version`.
        DsvcError
            If the bytes can't be had.
        """
        self.version()
        from dsvc.policy.detectors.pii_finder import PiiFinder
        from dsvc.policy.detectors.text_scan import Scan

        finders: list[Finder] = [PiiFinder(self._kinds)]
        if self._presidio:
            from dsvc.policy.detectors.presidio_finder import PresidioFinder

            finders.append(PresidioFinder())
        return Scan(self, finders, binary=False).run(file)
