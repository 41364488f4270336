"""The frame of an SSH signature (OpenSSH's PROTOCOL.sshsig), read and written strictly.

Every byte of it is accounted for; nothing is proven here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Final, NamedTuple

from dsvc.model.errors import MalformedInputError
from dsvc.model.ssh_key import SshKey, SshKeyError

MAX_ARMORED_BYTES: Final = 32 * 1024

_BEGIN, _END = b"-----BEGIN SSH SIGNATURE-----", b"-----END SSH SIGNATURE-----"
_MAGIC: Final = b"SSHSIG"
_VERSION: Final = b"\0\0\0\1"
_HASHES: Final = {b"sha512": "sha512", b"sha256": "sha256"}


class SignatureMalformedError(MalformedInputError):
    """Not an SSH signature."""

    code = "malformed-signature"


class SshSignature(NamedTuple):
    """A signature taken apart; nothing is proven yet.

    Attributes
    ----------
    key : SshKey
        Whose it claims to be.
    namespace : str
        What it was made for.
    hash : bytes
        How the message was hashed: ``sha512`` or ``sha256``.
    signature : bytes
        The signature itself, with its algorithm.
    """

    key: SshKey
    namespace: str
    hash: bytes
    signature: bytes


def string(data: bytes) -> bytes:
    """Write bytes with their length before them."""
    return len(data).to_bytes(4, "big") + data


def mpint(value: int) -> bytes:
    """Write a number that isn't negative."""
    return string(value.to_bytes(value.bit_length() // 8 + 1, "big") if value else b"")


def take(data: bytes, at: int) -> tuple[bytes, int]:
    """Read what `string` wrote at an offset; gives the offset after it too.

    Raises
    ------
    SignatureMalformedError
        If it is cut off.
    """
    end = at + 4 + int.from_bytes(data[at : at + 4], "big")
    if at + 4 > len(data) or end > len(data):
        raise SignatureMalformedError("the signature is cut off")
    return data[at + 4 : end], end


def write(found: SshSignature) -> bytes:
    """Write a signature as text, with lines of 70 characters as OpenSSH does."""
    fields = (found.key.blob, found.namespace.encode(), b"", found.hash, found.signature)
    text = base64.b64encode(_MAGIC + _VERSION + b"".join(string(field) for field in fields))
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return b"\n".join([_BEGIN, *lines, _END, b""])


def _dearmor(armored: bytes) -> bytes:
    if len(armored) > MAX_ARMORED_BYTES:
        raise SignatureMalformedError(f"a signature of {len(armored)} bytes; at most {MAX_ARMORED_BYTES}")
    lines = armored.rstrip(b"\r\n").replace(b"\r\n", b"\n").split(b"\n")
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END or b"" in lines:
        raise SignatureMalformedError("no SSH signature", hint="ssh-keygen -Y sign makes one")
    text = b"".join(lines[1:-1])
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise SignatureMalformedError("the signature is not base64") from error
    if base64.b64encode(raw) != text:
        raise SignatureMalformedError("the signature is not base64 as OpenSSH writes it")
    return raw


def parse(armored: bytes) -> SshSignature:
    """Take a signature apart, without asking whether it holds.

    Raises
    ------
    SignatureMalformedError
        If it is no SSH signature, is too long, cut off, or has more than a signature has.
    """
    raw = _dearmor(armored)
    if raw[:10] != _MAGIC + _VERSION:
        raise SignatureMalformedError("no SSH signature of version 1")
    fields, at = [], 10
    for _ in range(5):
        field, at = take(raw, at)
        fields.append(field)
    blob, namespace, reserved, hash_, signature = fields
    if at != len(raw) or reserved or hash_ not in _HASHES:
        raise SignatureMalformedError("the signature has an unknown hash, or something that no signature has")
    try:
        return SshSignature(SshKey.of_blob(blob), namespace.decode("utf-8"), hash_, signature)
    except (SshKeyError, UnicodeDecodeError) as error:
        raise SignatureMalformedError(f"the signature's key or purpose is malformed: {error}") from error


def signed_bytes(message: bytes, namespace: str, hash_: bytes) -> bytes:
    """What a key signs: never the message itself, but its hash together with what it is for."""
    digest = hashlib.new(_HASHES[hash_], message).digest()
    return _MAGIC + b"".join(string(part) for part in (namespace.encode(), b"", hash_, digest))
