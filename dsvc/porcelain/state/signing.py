"""Who signs: the key that the settings or an option name, here or in an SSH agent."""

from __future__ import annotations

import os
import stat as stat_module
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from dsvc.fs.files import storage_error
from dsvc.history.ssh_signature import (
    COMMITS,
    MAX_KEY_FILE_BYTES,
    PassphraseError,
    PrivateKey,
    SigningKeyError,
    verify,
)
from dsvc.model.ssh_key import SshKey, SshKeyError, parse_public_key
from dsvc.porcelain.state.program import find_program

if TYPE_CHECKING:
    from dsvc.history.commit_codec import Sign
    from dsvc.porcelain.state.workspace import Workspace

_PRIVATE: Final = b"PRIVATE KEY-----"
_HINT: Final = (
    "dsvc config user.signingKey FILE names one: a private key, or a .pub file for a key in an agent"
)


class Signer(Protocol):
    """Something that can sign."""

    @property
    def public(self) -> SshKey:
        """The key that it signs with."""

    def sign(self, message: bytes, namespace: str) -> bytes:
        """Sign a message for a purpose; gives the signature as text."""


@dataclass
class Signing:
    """What signing needs from outside: the environment, and somebody who knows passphrases.

    Attributes
    ----------
    environ : mapping of str to str
        For ``ssh-keygen``, and where that is found.
    home : str or None
        What ``~`` in the name of a key file means.
    ask : callable or None
        Asks for the passphrase of a file; None: nobody is there to ask.
    """

    environ: Mapping[str, str] = field(default_factory=dict)
    home: str | None = None
    ask: Callable[[str], str] | None = None
    _signers: dict[str, Signer] = field(default_factory=dict)

    def signer(self, path: str) -> Signer:
        """Load a key; a passphrase is asked for once.

        Parameters
        ----------
        path : str
            A private key, or a public one whose private part an SSH agent holds; relative to the home folder
            with ``~/``.

        Raises
        ------
        SigningKeyError
            If it can't be read or is no key.
        PassphraseError
            If it is encrypted, and the passphrase is wrong or nobody gave one.
        SigningUnavailableError
            If the packages for it are missing.
        """
        if path.startswith("~/") and self.home:
            path = os.path.join(self.home, path[2:])
        if path not in self._signers:
            self._signers[path] = self._load(path)
        return self._signers[path]

    def _load(self, path: str) -> Signer:
        data = _read(path)
        if _PRIVATE not in data:
            return _AgentKey(path, _public(path, data), self.environ)
        try:
            return PrivateKey(data)
        except PassphraseError:
            if self.ask is None:
                raise PassphraseError(
                    f"{path} is encrypted, and nobody is there to ask for its passphrase",
                    hint="run it in a terminal; or name the .pub file, and have an SSH agent hold the key",
                ) from None
            return PrivateKey(data, self.ask(path).encode("utf-8", "surrogateescape"))
        except SigningKeyError as error:
            raise SigningKeyError(f"{path}: {error.message}", hint=error.hint) from error


def _read(path: str) -> bytes:
    try:
        # A FIFO would wait for a writer forever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat_module.S_ISREG(os.fstat(fd).st_mode):
                raise SigningKeyError(f"{path} is no key file", hint=_HINT)
            with open(fd, "rb", closefd=False) as file:
                data = file.read(MAX_KEY_FILE_BYTES + 1)
        finally:
            os.close(fd)
    except FileNotFoundError as error:
        raise SigningKeyError(f"there is no key {path}", hint=_HINT) from error
    except OSError as error:
        raise storage_error(error, "read", path) from error
    if len(data) > MAX_KEY_FILE_BYTES:
        raise SigningKeyError(f"{path} is no key file: it has more than {MAX_KEY_FILE_BYTES >> 10} KiB")
    return data


def _public(path: str, data: bytes) -> SshKey:
    try:
        return parse_public_key(data.decode("utf-8").strip())[0]
    except (UnicodeDecodeError, SshKeyError) as error:
        raise SigningKeyError(f"{path} is neither a private nor a public key", hint=_HINT) from error


class _AgentKey:
    """A key whose private part only ``ssh-keygen`` can reach: in an agent, or beside the public part."""

    def __init__(self, path: str, public: SshKey, environ: Mapping[str, str]) -> None:
        self.public = public
        self._path = os.path.join(".", path)  # so that no name is taken for an option
        self._environ = environ

    def sign(self, message: bytes, namespace: str) -> bytes:
        """Have ``ssh-keygen`` sign.

        Raises
        ------
        SigningKeyError
            If that isn't installed, or can't.
        """
        import subprocess

        program = find_program("ssh-keygen", self._environ)
        if program is None:
            raise SigningKeyError(
                f"{self._path} is a public key, and ssh-keygen is not installed",
                hint="it could ask an agent for the private key: install OpenSSH, or name the private key",
            )
        try:
            done = subprocess.run(
                [program, "-q", "-Y", "sign", "-n", namespace, "-f", self._path],
                input=message,
                capture_output=True,
                env=dict(self._environ),
                check=False,
            )
        except OSError as error:
            raise SigningKeyError(f"ssh-keygen can't be started: {error.strerror}") from error
        if done.returncode:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            why = f": {said[-1][:200]}" if said else ""
            raise SigningKeyError(
                f"ssh-keygen could not sign with {self._path}{why}", hint="ssh-add -l lists keys"
            )
        if verify(done.stdout, message, namespace) != self.public:
            raise SigningKeyError(f"ssh-keygen signed with another key than {self._path}")
        return done.stdout


def named_signer(repo: Workspace, path: str | None = None) -> Signer:
    """Load the key that is named, else the one of ``user.signingKey``; errors as `Signing.signer`.

    Raises
    ------
    SigningKeyError
        If neither names one.
    """
    name = path or repo.config.get("user.signingKey")
    if name is None:
        raise SigningKeyError("no key to sign with is named", hint=_HINT)
    # What the settings say holds wherever the command is started.
    base = "" if path is not None or name.startswith("~/") else repo.root
    return repo.signing.signer(os.path.join(base, name))


def commit_signer(repo: Workspace, sign: bool | None = None) -> Signer | None:
    """Load the key that commits are signed with; None where they aren't.

    Verbs call it before they change anything, so that an unusable key or a wrong passphrase stops them there.

    Parameters
    ----------
    sign : bool or None
        Whether to sign; None: as ``commit.sign`` says.
    """
    wanted = repo.config.flag("commit.sign") if sign is None else sign
    return named_signer(repo) if wanted else None


def sign_commit(signer: Signer | None) -> Sign | None:
    """Give what `dsvc.history.history.History.commit` takes: signatures that git can check."""
    if signer is None:
        return None
    return lambda payload: signer.sign(payload, COMMITS)
