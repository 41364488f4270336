"""The roster: who holds which role, by SSH key; the section ``[roles]`` of ``dsvc.toml``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

from dsvc.model.errors import UsageError
from dsvc.model.ssh_key import SshKey, SshKeyError, parse_public_key
from dsvc.table.rules_file import read_document

MAX_MEMBERS: Final = 1000
_HINT: Final = 'as in: [roles], with compliance_officer = ["ssh-ed25519 AAAA… name@example.org"] below it'
_EMAIL = re.compile(r"[^\s<>@,;]+@[^\s<>@,;]+")


class RosterError(UsageError):
    """The roster in ``dsvc.toml`` can't be read."""

    code = "roster"


class Role(StrEnum):
    """What a person may do; a closed list."""

    COLLECTOR = "collector"
    SOURCE_OFFICER = "source_officer"
    ENGINEER = "engineer"
    ANNOTATOR = "annotator"
    REVIEWER = "reviewer"
    EXPERT = "expert"
    EVALUATOR = "evaluator"
    COMPLIANCE_OFFICER = "compliance_officer"
    RELEASE_MANAGER = "release_manager"
    CONSUMER = "consumer"
    RIGHTS_AGENT = "rights_agent"
    AUDITOR = "auditor"
    REGULATOR = "regulator"
    ADMIN = "admin"


class Member(NamedTuple):
    """A key of the roster.

    Attributes
    ----------
    key : SshKey
    comment : str
        What stands after the key: a name, an e-mail address, or both.
    """

    key: SshKey
    comment: str

    @property
    def name(self) -> str:
        """What to call who holds it."""
        return self.comment or self.key.fingerprint

    @property
    def emails(self) -> frozenset[str]:
        """Addresses in the comment, as `same_email` compares them."""
        return emails_in(self.comment)


def same_email(email: str) -> str:
    """Give an address the form in which two are compared: case makes no two people of one."""
    return email.strip().casefold()


def emails_in(text: str) -> frozenset[str]:
    """Find addresses in a text, as `same_email` compares them."""
    return frozenset(same_email(found) for found in _EMAIL.findall(text))


class Roster:
    """Who holds which role.

    Parameters
    ----------
    roles : mapping of Role to tuple of Member
    """

    def __init__(self, roles: Mapping[Role, tuple[Member, ...]] | None = None) -> None:
        self.roles: dict[Role, tuple[Member, ...]] = dict(roles or {})

    @classmethod
    def parse(cls, section: object, name: str) -> Roster:
        """Read the section.

        Parameters
        ----------
        section : object
            What ``[roles]`` holds.
        name : str
            What to call the file in messages.

        Raises
        ------
        RosterError
            If it names an unknown role, holds what is no public key, or a key twice in a role.
        """
        if not isinstance(section, Mapping):
            raise RosterError(f"{name}: roles is no section", hint=_HINT)
        roles: dict[Role, tuple[Member, ...]] = {}
        for word, lines in section.items():
            if not isinstance(lines, list) or len(lines) > MAX_MEMBERS:
                raise RosterError(
                    f"{name}: [roles] {word} takes a list of at most {MAX_MEMBERS} keys", hint=_HINT
                )
            roles[_role(word, name)] = tuple(_members(lines, f"{name}: [roles] {word}"))
        return cls(roles)

    def __eq__(self, other: object) -> bool:
        """Equal if they list the same keys with the same comments for the same roles."""
        return isinstance(other, Roster) and self._rows == other._rows

    def __hash__(self) -> int:
        """Hash of what is compared."""
        return hash(self._rows)

    @property
    def _rows(self) -> frozenset[tuple[Role, Member]]:
        return frozenset((role, member) for role, member in self)

    def __iter__(self) -> Iterator[tuple[Role, Member]]:
        for role, members in self.roles.items():
            for member in members:
                yield role, member

    @property
    def has_officer(self) -> bool:
        """Whether anybody can make waivers, and change it."""
        return bool(self.roles.get(Role.COMPLIANCE_OFFICER))

    def is_officer(self, key: SshKey) -> bool:
        """Whether a key is that of a compliance officer."""
        return self.holds(key, Role.COMPLIANCE_OFFICER)

    def holds(self, key: SshKey, role: Role) -> bool:
        """Whether a key has a role."""
        return any(member.key == key for member in self.roles.get(role, ()))

    def roles_of(self, key: SshKey) -> frozenset[Role]:
        """Every role of a key."""
        return frozenset(role for role, member in self if member.key == key)

    def name_of(self, key: SshKey) -> str | None:
        """What to call who holds a key; None where it isn't listed."""
        found = [member.name for _, member in self if member.key == key]
        return found[0] if found else None

    def emails_of(self, key: SshKey) -> frozenset[str]:
        """Every address under which a key is listed, as `same_email` compares them."""
        return frozenset(email for _, member in self if member.key == key for email in member.emails)

    def keys_of(self, email: str) -> frozenset[SshKey]:
        """Every key that is listed under an address."""
        return frozenset(member.key for _, member in self if same_email(email) in member.emails)


def read_roster(data: bytes | None, name: str) -> Roster | None:
    """Read the roster of a ``dsvc.toml``; None where it has none.

    Raises
    ------
    RosterError
        If the file or the section is malformed.
    """
    if data is None:
        return None
    document = read_document(data, name, RosterError)
    return Roster.parse(document["roles"], name) if "roles" in document else None


def _role(word: str, name: str) -> Role:
    try:
        return Role(word)
    except ValueError as error:
        from difflib import get_close_matches

        close = get_close_matches(word, list(Role), 1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(Role)}"
        raise RosterError(f"{name}: [roles] names an unknown role {word[:40]!r}", hint=hint) from error


def _members(lines: list[object], where: str) -> Iterator[Member]:
    seen: set[SshKey] = set()
    for number, line in enumerate(lines, 1):
        if not isinstance(line, str):
            raise RosterError(f"{where}: entry {number} is no text", hint=_HINT)
        try:
            key, comment = parse_public_key(line)
        except SshKeyError as error:
            raise RosterError(
                f"{where}: entry {number}: {error.message}", hint=error.hint or _HINT
            ) from error
        if key in seen:
            raise RosterError(f"{where}: entry {number} lists {key.fingerprint} again")
        if not comment.isprintable():
            raise RosterError(f"{where}: entry {number} has control characters")
        seen.add(key)
        yield Member(key, comment)
