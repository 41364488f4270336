"""Secrets: keys, tokens and passwords, found by the plugins of detect-secrets.

Nothing is verified, since that would ask the network. None of the library's filters by comment is used: a
line of data that says ``pragma: allowlist secret`` is looked at like any other. The plugins that call any
random string a secret are off, since data are full of digests and ids; what that spares stands in the
benchmark.

Whatever the file is, its bytes are looked at: of what is no text its runs of printable characters. What is
compressed inside a document or an archive can't be seen; the detection then says so as its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dsvc.model.detection import Detection
from dsvc.policy.detectors.detector import ScannedFile
from dsvc.policy.detectors.pii import library_version

_VERSION: Final = "1"


class Secrets:
    """Looks for secrets.

    Parameters
    ----------
    entropy : bool
        Whether any string that looks random is one.
    """

    name = "secrets"

    def __init__(self, *, entropy: bool = False) -> None:
        self._entropy = entropy

    def version(self) -> str:
        """Version, with that of detect-secrets.

        Raises
        ------
        DetectorUnavailableError
            If it is not installed.
        """
        return f"{_VERSION}+{library_version('detect-secrets', 'detectors')}"

    def config(self) -> Mapping[str, str]:
        """Whether random strings are secrets."""
        return {"entropy": str(self._entropy).lower()}

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
        from dsvc.policy.detectors.secret_finder import SecretFinder
        from dsvc.policy.detectors.secret_plugins import SETTINGS_ENDINGS
        from dsvc.policy.detectors.text_scan import Scan

        settings = file.path.rpartition(b".")[2].lower() in SETTINGS_ENDINGS
        return Scan(self, [SecretFinder(entropy=self._entropy, settings=settings)], binary=True).run(file)
