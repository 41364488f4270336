"""Keys and signatures that are nearly right: refused in words, never taken for good."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from dsvc.history.signature_frame import SignatureMalformedError
from dsvc.history.ssh_signature import PassphraseError, PrivateKey, SigningKeyError, verify
from tests.signkit import person, sign

MESSAGE = b"message"


def pem(key: object, passphrase: bytes | None = None) -> bytes:
    wrap = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, wrap)  # type: ignore[attr-defined,no-any-return]


def test_keys_in_pem_sign_too() -> None:
    for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())):
        verify(sign(MESSAGE, pem(key), "file"), MESSAGE, "file")


def test_a_passphrase_for_a_key_that_has_none() -> None:
    key = pem(ed25519.Ed25519PrivateKey.generate())
    armored = PrivateKey(key, b"needless").sign(MESSAGE, "file")
    verify(armored, MESSAGE, "file")


def test_encrypted_pem() -> None:
    key = pem(ed25519.Ed25519PrivateKey.generate(), b"secret")
    with pytest.raises(PassphraseError, match="no passphrase was given"):
        PrivateKey(key)
    with pytest.raises(PassphraseError, match="doesn't open"):
        PrivateKey(key, b"wrong")
    verify(PrivateKey(key, b"secret").sign(MESSAGE, "file"), MESSAGE, "file")


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"no key",
        b"-----BEGIN OPENSSH PRIVATE KEY-----\n?\n-----END OPENSSH PRIVATE KEY-----\n",
        b"x" * (1 << 20),
    ],
)
def test_what_is_no_key(key: bytes) -> None:
    with pytest.raises(SigningKeyError):
        PrivateKey(key)


def test_keys_that_do_not_sign() -> None:
    with pytest.raises(SigningKeyError, match="don't sign"):
        PrivateKey(pem(x25519.X25519PrivateKey.generate()))
    with pytest.raises(SigningKeyError, match="don't sign"):
        PrivateKey(pem(dsa.generate_private_key(2048)))
    with pytest.raises(SigningKeyError, match="1024"):
        PrivateKey(pem(rsa.generate_private_key(65537, 1024)))


def test_an_encrypted_key_in_a_cipher_that_nobody_knows() -> None:
    begin, *lines, end, _ = person("a@example.org", passphrase=b"secret").private.split(b"\n")
    raw = base64.b64decode(b"".join(lines))
    assert b"aes256-ctr" in raw
    twisted = base64.b64encode(raw.replace(b"aes256-ctr", b"aes256-xyz"))
    with pytest.raises(SigningKeyError, match="no private key that can be read") as caught:
        PrivateKey(b"\n".join([begin, twisted, end, b""]), b"secret")
    assert not isinstance(caught.value, PassphraseError)


def test_an_encrypted_key_without_bcrypt(tmp_path: Path) -> None:
    """The key is good and so is the passphrase: what is missing is a package, and that is told."""
    path = person("a@example.org", passphrase=b"secret").save(tmp_path)
    code = (
        "import sys; sys.modules['bcrypt'] = None\n"
        "from dsvc.history.ssh_signature import PrivateKey, SigningUnavailableError\n"
        "try:\n    PrivateKey(open(sys.argv[1], 'rb').read(), b'secret')\n"
        "except SigningUnavailableError as error:\n    print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert "dsvc[sign]" in done.stdout


def test_base64_that_openssh_would_not_write() -> None:
    armored = sign(MESSAGE, person("a@example.org").private, "file")
    begin, *lines, end, _ = armored.split(b"\n")
    text = b"".join(lines)
    raw = base64.b64decode(text)
    assert base64.b64encode(raw) == text
    for bad in (text[:-4], text + b"AAAA", text.replace(text[:1], b"*", 1)):
        with pytest.raises(SignatureMalformedError):
            verify(b"\n".join([begin, bad, end, b""]), MESSAGE, "file")


@pytest.mark.parametrize("namespace", ["ab", "abc"])
def test_bits_behind_the_last_byte_that_decoders_pass_over(namespace: str) -> None:
    begin, *lines, end, _ = sign(MESSAGE, person("a@example.org").private, namespace).split(b"\n")
    text = b"".join(lines)
    stem = text.rstrip(b"=")
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = stem[:-1] + bytes([alphabet[alphabet.index(stem[-1]) ^ 1]]) + text[len(stem) :]
    assert base64.b64decode(other) == base64.b64decode(text)
    with pytest.raises(SignatureMalformedError, match="as OpenSSH writes it"):
        verify(b"\n".join([begin, other, end, b""]), MESSAGE, namespace)
