"""What ``dsvc.toml`` says of policy: packs, what the data are for, thresholds stricter than a pack's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from dsvc.model.errors import UsageError
from dsvc.table.rules_file import read_document

_HINT: Final = "dsvc policy show lists what [policy] can hold"
MAX_PACKS: Final = 64
_SECTION: Final = "policy"
_ALIKE: Final = 0.7


class PolicySettingsError(UsageError):
    """What ``dsvc.toml`` says of policy can't be read."""

    code = "policy-settings"


class PolicySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The section ``[policy]``.

    Attributes
    ----------
    packs : tuple of str
        Packs in force: names of built-in ones, or paths of TOML files in the repository.
    purpose : str or None
        What the data are for: ``commercial``, ``research`` or another word that sources use; None: not said.
    shared : bool or None
        Whether the data, or what is made of them, are given to others; None: not said.
    output_license : str or None
        Under which licence, SPDX.
    consumer : str or None
        Who will use them.
    operating_mode : str or None
        ``guarantee``, ``custom``, ``ecommerce`` or ``pairing``.
    region : str or None
        Where they are kept or sent, ISO 3166.
    profile : str or None
        Profile of thresholds that packs offer, such as ``medical``.
    words : str or None
        Path of the list of sensitive words.
    presidio : bool
        Whether its recognisers are asked too, where it is installed.
    parameters : mapping of str to mapping
        Thresholds by rule; only towards the stricter side.
    licences : mapping of str to mapping
        What licences of one's own permit (`dsvc.policy.licence_settings`).
    """

    packs: tuple[str, ...] = ()
    purpose: str | None = None
    shared: bool | None = None
    output_license: str | None = None
    consumer: str | None = None
    operating_mode: str | None = None
    region: str | None = None
    profile: str | None = None
    words: str | None = None
    presidio: bool = False
    parameters: Mapping[str, Mapping[str, bool | int | float | str | tuple[str, ...]]] = {}
    licences: Mapping[str, Mapping[str, Any]] = {}


def is_like_policy(section: str) -> bool:
    """Whether the name of a section is ``policy``, or was meant to be."""
    from difflib import SequenceMatcher

    word = section[: 2 * len(_SECTION)].casefold()
    return word == _SECTION or SequenceMatcher(None, word, _SECTION).ratio() >= _ALIKE


def parse_settings(data: bytes | None, name: str) -> PolicySettings:
    """Read the section ``[policy]`` of a ``dsvc.toml``; without one, nothing is in force.

    Parameters
    ----------
    data : bytes or None
        Content of the file; None where there is none.
    name : str
        What to call it in messages.

    Raises
    ------
    PolicySettingsError
        If it is malformed, or has a key that there isn't: a misspelt one must not let anything pass.
    """
    if data is None:
        return PolicySettings()
    document = read_document(data, name, PolicySettingsError)
    for key in document:
        if key != _SECTION and is_like_policy(key):
            raise PolicySettingsError(
                f"{name} has a section {key[:40]!r}", hint="did you mean [policy]?", details={"path": name}
            )
    section = document.get(_SECTION, {})
    try:
        found = msgspec.convert(section, PolicySettings)
    except msgspec.ValidationError as error:
        raise PolicySettingsError(f"{name}: [policy]: {error}", hint=_HINT, details={"path": name}) from error
    if not all(pack.strip() for pack in found.packs):
        raise PolicySettingsError(f"{name}: [policy] packs has an empty name", details={"path": name})
    if len(found.packs) > MAX_PACKS:
        raise PolicySettingsError(
            f"{name}: [policy] names {len(found.packs)} packs; at most {MAX_PACKS} are asked",
            details={"path": name},
        )
    return found
