"""A public SSH key as a value: as it stands in a ``.pub`` file, in a roster, in a signature."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Final, NamedTuple

from dsvc.model.errors import MalformedInputError

MAX_KEY_BYTES: Final = 16 * 1024
"""No key in use is larger: RSA with 16,384 bits has about 2 KiB."""

_TYPE = re.compile(r"[a-z0-9][a-z0-9@.-]{0,63}")


class SshKeyError(MalformedInputError):
    """Not a public SSH key."""

    code = "malformed-key"


class SshKey(NamedTuple):
    """A public key.

    Attributes
    ----------
    type : str
        ``ssh-ed25519`` and the like.
    blob : bytes
        The key as SSH writes it; its type stands in it again.
    """

    type: str
    blob: bytes

    @property
    def base64(self) -> str:
        """The blob as text, as in a ``.pub`` file."""
        return base64.b64encode(self.blob).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """What ``ssh-keygen -l`` prints: ``SHA256:`` and 43 characters."""
        digest = hashlib.sha256(self.blob).digest()
        return "SHA256:" + base64.b64encode(digest).decode("ascii").rstrip("=")

    def __str__(self) -> str:
        """Type and blob, as in a ``.pub`` file."""
        return f"{self.type} {self.base64}"

    @classmethod
    def of_blob(cls, blob: bytes) -> SshKey:
        """Read the type that stands in a blob.

        Raises
        ------
        SshKeyError
            If there is none, or the blob is too long.
        """
        size = int.from_bytes(blob[:4], "big")
        name = blob[4 : 4 + size]
        if len(blob) > MAX_KEY_BYTES or len(name) != size or size > 64 or len(blob) <= 4 + size:
            raise SshKeyError("the key is cut off, too long or no SSH key")
        text = name.decode("ascii", "replace")
        if not _TYPE.fullmatch(text):
            raise SshKeyError(f"a key of type {text[:80]!r}")
        return cls(text, blob)


def parse_public_key(line: str) -> tuple[SshKey, str]:
    """Read a line of a ``.pub`` file: ``TYPE BASE64 [COMMENT]``; gives the key and the comment.

    Raises
    ------
    SshKeyError
        If it is anything else, or the type isn't the one that stands in the key.
    """
    parts = re.split(r"[ \t]+", line.strip(" \t\r\n"), maxsplit=2)
    if len(parts) < 2 or len(line) > 2 * MAX_KEY_BYTES:
        raise SshKeyError(f"no public key: {line[:60]!r}", hint="it looks like: ssh-ed25519 AAAA… name@host")
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError) as error:
        raise SshKeyError(f"no public key: {line[:60]!r} is not base64") from error
    key = SshKey.of_blob(blob)
    # Text that decodes to the same bytes in two ways would let one key look like two.
    if key.type != parts[0] or key.base64 != parts[1]:
        raise SshKeyError(f"no public key: {line[:60]!r} is not what it says")
    return key, parts[2] if len(parts) > 2 else ""
