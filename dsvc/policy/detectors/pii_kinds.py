"""Kinds of personal data that are looked for; a closed list.

Not among them, since no pattern tells them from other text: names, postal addresses, dates of birth,
numbers of other countries' identity cards. Numbers that name a firm (a unified social credit code) are no
personal data.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class PiiKind(StrEnum):
    """A kind of personal data."""

    CN_ID_CARD = "cn_id_card"
    BANK_CARD = "bank_card"
    IBAN = "iban"
    PASSPORT = "passport"
    US_SSN = "us_ssn"
    CN_MOBILE = "cn_mobile"
    CN_LANDLINE = "cn_landline"
    PHONE = "phone"
    EMAIL = "email"
    CN_LICENCE_PLATE = "cn_licence_plate"
    NETWORK_ADDRESS = "network_address"


SENSITIVE: Final = frozenset(
    {PiiKind.CN_ID_CARD, PiiKind.BANK_CARD, PiiKind.IBAN, PiiKind.PASSPORT, PiiKind.US_SSN}
)
