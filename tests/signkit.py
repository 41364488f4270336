"""Keys to sign with: made from seeds, so that they are the same in every run; RSA ones are made once."""

from __future__ import annotations

import functools
import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from dsvc.history.ssh_signature import PrivateKey

SSH_KEYGEN = shutil.which("ssh-keygen")


def sign(message: bytes, key: bytes, namespace: str, passphrase: bytes | None = None) -> bytes:
    """Sign a message with the bytes of a key file."""
    return PrivateKey(key, passphrase).sign(message, namespace)


@dataclass(frozen=True)
class Person:
    """Somebody with a key."""

    email: str
    private: bytes
    public: str

    @property
    def line(self) -> str:
        """The line of a roster."""
        return f"{self.public} {self.email}"

    @property
    def key(self) -> PrivateKey:
        return PrivateKey(self.private)

    def save(self, folder: Path, name: str = "id") -> Path:
        """Write both key files; gives the path of the private one."""
        path = folder / name
        path.write_bytes(self.private)
        path.chmod(0o600)
        (folder / f"{name}.pub").write_text(self.line + "\n", "utf-8")
        return path


@functools.cache
def make_key(seed: str, kind: str = "ed25519") -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | object:
    digest = hashlib.sha512(seed.encode()).digest()
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.from_private_bytes(digest[:32])
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind.removeprefix("rsa") or 2048))
    curve = {"256": ec.SECP256R1(), "384": ec.SECP384R1(), "521": ec.SECP521R1()}[kind.removeprefix("ecdsa")]
    return ec.derive_private_key(int.from_bytes(digest[: (curve.key_size - 1) // 8], "big"), curve)


@functools.cache
def person(email: str, kind: str = "ed25519", passphrase: bytes | None = None) -> Person:
    """Somebody, by e-mail."""
    key = make_key(email, kind)
    lock = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    return Person(
        email,
        key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, lock),  # type: ignore[attr-defined]
        key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),  # type: ignore[attr-defined]
    )


def keygen(*words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run the real ssh-keygen."""
    assert SSH_KEYGEN is not None
    return subprocess.run([SSH_KEYGEN, *words], input=data, capture_output=True, check=False)
