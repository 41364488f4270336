"""Signatures with SSH keys, as ``ssh-keygen -Y sign`` makes them (OpenSSH's PROTOCOL.sshsig).

What a signature proves is asked of sshsig, or of cryptography where sshsig doesn't know the kind of key. Both
are imported here only, and only when needed.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from dsvc.history.signature_frame import SshSignature, mpint, parse, signed_bytes, string, take, write
from dsvc.model.errors import MalformedInputError, PolicyIncompleteError, UsageError
from dsvc.model.ssh_key import SshKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.hashes import HashAlgorithm

    SigningKey = rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey

MAX_KEY_FILE_BYTES: Final = 64 * 1024
MIN_RSA_BITS: Final = 2048
COMMITS: Final = "git"
"""Namespace of signatures of commits: git's own, so that git can check them."""

_CURVES: Final = {
    "ecdsa-sha2-nistp256": "SHA256",
    "ecdsa-sha2-nistp384": "SHA384",
    "ecdsa-sha2-nistp521": "SHA512",
}
_EXTRA: Final = "pip install 'dsvc[sign]'"


class SignatureForgedError(MalformedInputError):
    """The signature is of another message, another purpose or another key than it says."""

    code = "forged-signature"


class SignatureUnverifiableError(PolicyIncompleteError):
    """Whether the signature holds can't be told: the packages for it, or its kind of key, are missing."""

    code = "unverifiable-signature"


class SigningUnavailableError(UsageError):
    """The packages that sign are not installed."""

    code = "missing-extra"


class SigningKeyError(UsageError):
    """There is no key to sign with, or it can't be used."""

    code = "signing-key"


class PassphraseError(SigningKeyError):
    """The key is encrypted, and its passphrase is missing or wrong."""

    code = "passphrase"


def verify(armored: bytes, message: bytes, namespace: str) -> SshKey:
    """Check that a signature is one of a message for a purpose.

    Parameters
    ----------
    armored : bytes
        The signature as text.
    message : bytes
        What was signed.
    namespace : str
        What for; a signature for anything else is refused.

    Returns
    -------
    SshKey
        The key that made it. Whose that is, is for the caller to know.

    Raises
    ------
    SignatureMalformedError
        If it is no signature.
    SignatureForgedError
        If it is one of another message, or for another purpose.
    SignatureUnverifiableError
        If that can't be told: packages are missing, or the kind of key is not known.
    """
    found = parse(armored)
    if found.namespace != namespace:
        raise SignatureForgedError(f"the signature is for {found.namespace[:80]!r}, not for {namespace!r}")
    try:
        holds = _holds(found, signed_bytes(message, namespace, found.hash))
    except ImportError as error:
        raise SignatureUnverifiableError(
            "signatures can't be checked: sshsig or cryptography is not installed",
            hint=f"install them with: {_EXTRA}",
        ) from error
    if not holds:
        raise SignatureForgedError(f"the signature is not one of {found.key.fingerprint} over this")
    return found.key


def _holds(found: SshSignature, signed: bytes) -> bool:
    """Whether the key made the signature over bytes.

    Raises
    ------
    SignatureUnverifiableError
        If the kind of key isn't known.
    SignatureForgedError
        If the key is too weak to prove anything.
    """
    if found.key.type in _CURVES:
        return _holds_ecdsa(found, signed)
    if found.key.type not in ("ssh-ed25519", "ssh-rsa"):
        raise SignatureUnverifiableError(
            f"signatures of keys of type {found.key.type} can't be checked",
            hint="keys of type ed25519, ecdsa and rsa can be used",
        )
    _, at = take(found.signature, 0)
    if take(found.signature, at)[1] != len(found.signature):
        return False
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key
    from sshsig.ssh_public_key import PublicKey

    try:
        known = load_ssh_public_key(str(found.key).encode())
        if isinstance(known, RSAPublicKey) and known.key_size < MIN_RSA_BITS:
            raise SignatureForgedError(f"an RSA key of {known.key_size} bits proves nothing")
        PublicKey.from_ssh_encoding(found.key.blob).verify(found.signature, signed)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, AssertionError, NotImplementedError):
        # sshsig tells an algorithm that doesn't fit the key by an assertion.
        return False
    return True


def _holds_ecdsa(found: SshSignature, signed: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.serialization import load_ssh_public_key

    algorithm, at = take(found.signature, 0)
    inner, end = take(found.signature, at)
    r, at = take(inner, 0)
    s, inner_end = take(inner, at)
    if algorithm != found.key.type.encode() or end != len(found.signature) or inner_end != len(inner):
        return False
    try:
        key = load_ssh_public_key(str(found.key).encode())
        assert isinstance(key, ec.EllipticCurvePublicKey)  # as its type says
        pair = utils.encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
        key.verify(pair, signed, ec.ECDSA(_curve_hash(found.key.type)))
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, NotImplementedError):
        return False
    return True


def _curve_hash(type_: str) -> HashAlgorithm:
    from cryptography.hazmat.primitives import hashes

    made: HashAlgorithm = getattr(hashes, _CURVES[type_])()
    return made


# Signing


class PrivateKey:
    """A private key that can sign.

    Parameters
    ----------
    data : bytes
        A key file: OpenSSH's own form, or PEM.
    passphrase : bytes or None
        What opens it, where it is encrypted.

    Raises
    ------
    SigningUnavailableError
        If cryptography is not installed.
    PassphraseError
        If it is encrypted and the passphrase is missing or wrong.
    SigningKeyError
        If it is no private key, of an unknown kind or too weak.
    """

    def __init__(self, data: bytes, passphrase: bytes | None = None) -> None:
        try:
            self._key = _load(data, passphrase)
        except ImportError as error:
            raise SigningUnavailableError(
                "signing needs cryptography and bcrypt, which are not installed",
                hint=f"install them with: {_EXTRA}",
            ) from error
        self.public = _public(self._key)

    def sign(self, message: bytes, namespace: str) -> bytes:
        """Sign a message for a purpose; gives the signature as text."""
        hash_ = b"sha512"
        raw = _sign(self._key, self.public.type, signed_bytes(message, namespace, hash_))
        return write(SshSignature(self.public, namespace, hash_, raw))


def _load(data: bytes, passphrase: bytes | None) -> SigningKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_ssh_private_key

    if len(data) > MAX_KEY_FILE_BYTES:
        raise SigningKeyError(f"a key file has at most {MAX_KEY_FILE_BYTES} bytes")
    load = load_ssh_private_key if b"BEGIN OPENSSH PRIVATE KEY" in data else load_pem_private_key
    try:
        key = load(data, passphrase)
    except TypeError as error:
        if passphrase is None:
            raise PassphraseError("the key is encrypted, and no passphrase was given") from error
        return _load(data, None)
    except UnsupportedAlgorithm as error:
        if "bcrypt" in str(error):
            raise ImportError(str(error)) from error
        raise SigningKeyError("this is no private key that can be read") from error
    except ValueError as error:
        if passphrase is not None:
            raise PassphraseError("the passphrase doesn't open the key") from error
        if "password-protected" in str(error):  # pragma: no cover  as cryptography 42 says it
            raise PassphraseError("the key is encrypted, and no passphrase was given") from error
        raise SigningKeyError("this is no private key that can be read") from error
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < MIN_RSA_BITS:
        raise SigningKeyError(f"an RSA key needs {MIN_RSA_BITS} bits; this one has {key.key_size}")
    if not isinstance(key, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey):
        raise SigningKeyError(
            "keys of this kind don't sign", hint="keys of type ed25519, ecdsa and rsa can be used"
        )
    return key


def _public(key: SigningKey) -> SshKey:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return SshKey.of_blob(base64.b64decode(line.split()[1]))


def _sign(key: SigningKey, type_: str, signed: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

    if isinstance(key, rsa.RSAPrivateKey):
        made = key.sign(signed, padding.PKCS1v15(), hashes.SHA512())
        return string(b"rsa-sha2-512") + string(made)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        pair = key.sign(signed, ec.ECDSA(_curve_hash(type_)))
        r, s = utils.decode_dss_signature(pair)
        return string(type_.encode()) + string(mpint(r) + mpint(s))
    return string(type_.encode()) + string(key.sign(signed))
