"""Signatures with SSH keys, ours and those of OpenSSH, each read by the other; and what is none."""

from __future__ import annotations

import base64
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.history import signature_frame, ssh_signature
from dsvc.history.signature_frame import SignatureMalformedError
from dsvc.history.ssh_signature import (
    PassphraseError,
    SignatureForgedError,
    SignatureUnverifiableError,
    SigningKeyError,
    SigningUnavailableError,
    verify,
)
from dsvc.model.errors import DsvcError
from dsvc.model.ssh_key import SshKey, SshKeyError, parse_public_key
from tests.signkit import SSH_KEYGEN, keygen, person, sign

KINDS = ["ed25519", "rsa", "ecdsa256", "ecdsa384", "ecdsa521"]
MESSAGE = "数据\0and text\n".encode()
needs_keygen = pytest.mark.skipif(SSH_KEYGEN is None, reason="ssh-keygen is not installed")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_signed_is_verified(kind: str) -> None:
    who = person("a@example.org", kind)
    armored = sign(MESSAGE, who.private, "purpose@dsvc")
    key = verify(armored, MESSAGE, "purpose@dsvc")
    assert str(key) == who.public
    for message, namespace in ((MESSAGE + b"x", "purpose@dsvc"), (b"", "purpose@dsvc"), (MESSAGE, "git")):
        with pytest.raises(SignatureForgedError):
            verify(armored, message, namespace)


@needs_keygen
@pytest.mark.parametrize("kind", KINDS)
def test_openssh_accepts_ours_and_we_accept_that_of_openssh(kind: str, tmp_path: Path) -> None:
    who = person("a@example.org", kind)
    path = who.save(tmp_path)
    (tmp_path / "signers").write_text(f"a@example.org {who.public}\n")
    (tmp_path / "ours").write_bytes(sign(MESSAGE, who.private, "file"))
    words = ["-f", str(tmp_path / "signers"), "-I", "a@example.org", "-s", str(tmp_path / "ours")]
    done = keygen("-Y", "verify", "-n", "file", *words, data=MESSAGE)
    assert done.returncode == 0, done.stderr
    assert keygen("-Y", "verify", "-n", "file", *words, data=MESSAGE + b"!").returncode != 0
    for hash_ in ("sha512", "sha256"):
        made = keygen("-Y", "sign", "-n", "file", "-O", f"hashalg={hash_}", "-f", str(path), data=MESSAGE)
        assert verify(made.stdout, MESSAGE, "file").fingerprint.encode() in keygen("-lf", str(path)).stdout
    if kind == "ed25519":
        # Nothing in such a signature is random: ours and theirs are the same text.
        theirs = keygen("-Y", "sign", "-n", "file", "-f", str(path), data=MESSAGE).stdout
        assert theirs == sign(MESSAGE, who.private, "file")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_h61_a_changed_byte_never_verifies(at: int, bits: int) -> None:
    armored = bytearray(sign(MESSAGE, person("a@example.org").private, "file"))
    armored[at % (len(armored) - 1)] ^= bits  # the newline at the end is no part of it
    with pytest.raises(DsvcError) as caught:
        verify(bytes(armored), MESSAGE, "file")
    assert caught.value.exit_code in (41, 21)


def test_a_changed_byte_inside_the_frame_never_verifies() -> None:
    armored = sign(MESSAGE, person("a@example.org", "ecdsa256").private, "file")
    raw = base64.b64decode(b"".join(armored.split(b"\n")[1:-2]))
    for at in range(len(raw)):
        for bits in (1, 128):
            changed = raw[:at] + bytes([raw[at] ^ bits]) + raw[at + 1 :]
            with pytest.raises((SignatureMalformedError, SignatureForgedError, SignatureUnverifiableError)):
                verify(_armor(changed), MESSAGE, "file")
    for end in (*range(0, len(raw), 7), len(raw) - 1):
        with pytest.raises(SignatureMalformedError):
            verify(_armor(raw[:end]), MESSAGE, "file")
    with pytest.raises(SignatureMalformedError):
        verify(_armor(raw + b"\0"), MESSAGE, "file")


def _armor(raw: bytes) -> bytes:
    text = base64.b64encode(raw).decode()
    return f"-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n".encode()


def test_what_is_no_signature() -> None:
    good = sign(MESSAGE, person("a@example.org").private, "file")
    for bad in (
        b"",
        b"\n",
        good[:-40],
        good.replace(b"SSH SIGNATURE", b"PGP SIGNATURE"),
        b"x" + good,
        good + good,
        good.replace(b"\n", b"\n\n", 1),
        good.replace(b"\n-----END", b"\nAAAA\n-----END"),
        b"-----BEGIN SSH SIGNATURE-----\n" + b"A" * 40_000 + b"\n-----END SSH SIGNATURE-----\n",
        b"\xff\xfe" + good,
    ):
        with pytest.raises(SignatureMalformedError):
            verify(bad, MESSAGE, "file")
    # Mail and editors change the ends of lines; that changes nothing.
    assert verify(good.replace(b"\n", b"\r\n"), MESSAGE, "file")


def test_h60_a_signature_of_one_key_under_the_name_of_another() -> None:
    mine, other = (
        signature_frame.parse(sign(MESSAGE, person(who).private, "file"))
        for who in ("a@example.org", "b@example.org")
    )
    swapped = signature_frame.write(mine._replace(key=other.key))
    with pytest.raises(SignatureForgedError):
        verify(swapped, MESSAGE, "file")
    # The purpose stands in what is signed too.
    moved = signature_frame.write(mine._replace(namespace="git"))
    with pytest.raises(SignatureForgedError):
        verify(moved, MESSAGE, "git")
    longer = signature_frame.write(mine._replace(signature=mine.signature + b"\0"))
    with pytest.raises(SignatureForgedError):
        verify(longer, MESSAGE, "file")


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa256"])
def test_an_algorithm_that_does_not_fit_the_key(kind: str) -> None:
    found = signature_frame.parse(sign(MESSAGE, person("a@example.org", kind).private, "file"))
    _, at = signature_frame.take(found.signature, 0)
    for name in (b"ssh-rsa", b"ssh-ed25519", b"rsa-sha2-512", b"", b"\xff"):
        if found.signature.startswith(signature_frame.string(name)):
            continue
        other = signature_frame.string(name) + found.signature[at:]
        with pytest.raises(SignatureForgedError):
            verify(signature_frame.write(found._replace(signature=other)), MESSAGE, "file")


def test_keys_that_prove_nothing() -> None:
    weak = person("weak@example.org", "rsa1024")
    with pytest.raises(SigningKeyError, match="2048 bits"):
        sign(MESSAGE, weak.private, "file")
    key, _ = parse_public_key(weak.public)
    found = signature_frame.parse(sign(MESSAGE, person("a@example.org").private, "file"))
    with pytest.raises(SignatureForgedError, match="1024 bits"):
        verify(signature_frame.write(found._replace(key=key)), MESSAGE, "file")
    hardware = b"".join(
        signature_frame.string(b) for b in (b"sk-ssh-ed25519@openssh.com", b"x" * 32, b"ssh:")
    )
    with pytest.raises(SignatureUnverifiableError, match="sk-ssh-ed25519"):
        verify(signature_frame.write(found._replace(key=SshKey.of_blob(hardware))), MESSAGE, "file")


def test_encrypted_keys() -> None:
    who = person("a@example.org", passphrase="密码".encode())
    with pytest.raises(PassphraseError):
        sign(MESSAGE, who.private, "file")
    with pytest.raises(PassphraseError):
        sign(MESSAGE, who.private, "file", b"wrong")
    armored = sign(MESSAGE, who.private, "file", "密码".encode())
    assert str(verify(armored, MESSAGE, "file")) == who.public
    # A passphrase for a key that needs none does no harm.
    assert sign(MESSAGE, person("a@example.org").private, "file", b"any") == armored


@pytest.mark.parametrize(
    "data", [b"", b"text", b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", b"A" * 70_000, b"\xff" * 100]
)
def test_files_that_are_no_key(data: bytes) -> None:
    with pytest.raises(SigningKeyError):
        sign(MESSAGE, data, "file")


def test_without_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    who = person("a@example.org")
    armored = sign(MESSAGE, who.private, "file")
    for name in list(sys.modules):
        if name.split(".")[0] in ("sshsig", "cryptography"):
            monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SignatureUnverifiableError, match="not installed"):
        verify(armored, MESSAGE, "file")
    with pytest.raises(SigningUnavailableError) as caught:
        ssh_signature.PrivateKey(who.private)
    assert "dsvc[sign]" in str(caught.value.hint)
    # Whose it claims to be is known without them.
    assert str(signature_frame.parse(armored).key) == who.public


def test_public_keys() -> None:
    line = person("a@example.org").line
    key, comment = parse_public_key(f"  {line}  more words\n")
    assert (key.type, comment) == ("ssh-ed25519", "a@example.org  more words")
    assert str(key) == person("a@example.org").public
    kind, text, _ = line.split()
    for bad in (
        "",
        kind,
        f"ssh-rsa {text}",
        f"{kind} {text[:-4]}!!!!",
        f"{kind} AAAA",
        f"{kind} {text}\u00a0=",
    ):
        with pytest.raises(SshKeyError):
            parse_public_key(bad)
    # The last characters of base64 hold bits that nobody reads: only one way to write a key is taken.
    with pytest.raises(SshKeyError):
        SshKey.of_blob(b"")


def test_a_signature_as_long_as_any_and_one_byte_more() -> None:
    """White space at the end is no part of a signature, and counts as what is read."""
    armored = sign(MESSAGE, person("a@example.org").private, "file")
    longest = armored + b"\n" * (32 * 1024 - len(armored))
    verify(longest, MESSAGE, "file")
    with pytest.raises(SignatureMalformedError, match="at most 32768"):
        verify(longest + b"\n", MESSAGE, "file")


def test_numbers_and_pieces_of_the_frame() -> None:
    """The examples of RFC 4251, and what ends where it must not."""
    numbers = {
        0: "",
        0x80: "0080",
        0x9A378F9B2E332A7: "09a378f9b2e332a7",
        0x7F: "7f",
        1 << 255: "00" + "8" + "0" * 63,
    }
    for number, written in numbers.items():
        assert signature_frame.mpint(number) == (len(written) // 2).to_bytes(4, "big") + bytes.fromhex(
            written
        )
    for data, at, expected in (
        (b"\0\0\0\0", 0, (b"", 4)),
        (b"\0\0\0\1x", 0, (b"x", 5)),
        (b"..\0\0\0\2xyz", 2, (b"xy", 8)),
    ):
        assert signature_frame.take(data, at) == expected
    for data in (b"", b"\0\0\0", b"\0\0\0\1", b"\0\0\0\5abcd", b"\xff\xff\xff\xffx"):
        with pytest.raises(SignatureMalformedError, match="cut off"):
            signature_frame.take(data, 0)


def test_a_frame_with_nothing_in_it() -> None:
    lines = sign(MESSAGE, person("a@example.org").private, "file").splitlines()
    for some in (lines[:1], [lines[0], lines[-1]], lines[1:], lines[:-1], [*lines[:2], b"", *lines[2:]]):
        with pytest.raises(SignatureMalformedError, match=r"^no SSH signature$"):
            verify(b"\n".join(some), MESSAGE, "file")
