"""The table of recognisers: each finds one or more kinds of personal data in a line, and checks what it
finds.

A pattern proposes, a checksum or a library's tables decide; where neither says enough, a word in the same
line or the column's name must, such as ``passport``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import cache
from typing import Any, Final, NamedTuple

from dsvc.policy.detectors import pii_patterns as patterns
from dsvc.policy.detectors.pii_kinds import PiiKind

_NEAR: Final = 40
_PROVINCES: Final = frozenset(
    str(code)
    for codes in ((11, 16), (21, 24), (31, 38), (41, 47), (50, 55), (61, 66), (71, 72), (81, 84))
    for code in range(*codes)
)
_CARD_LENGTHS: Final = (
    (re.compile(r"62"), (16, 17, 18, 19)),
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"35(?:2[89]|[3-8])"), (16, 19)),
    (re.compile(r"30[0-5]|36|3[89]"), (14,)),
    (re.compile(r"6011|64[4-9]|65"), (16, 19)),
)


class Line(NamedTuple):
    """A line to be looked at: its text, made plain, and what else is known of it (the name of its column)."""

    text: str
    context: str

    def before(self, place: int) -> str:
        """What stands in front of a place; in front of the line, the context."""
        front = self.text[max(0, place - _NEAR) : place]
        return f"{self.context}: {front}" if self.context and place <= _NEAR else front

    def says(self, words: re.Pattern[str]) -> bool:
        """Whether it or its context has such a word."""
        return bool(words.search(self.text) or words.search(self.context))


class Found(NamedTuple):
    """What a recogniser makes of a match: the kind, the value in one writing, and the value masked."""

    kind: PiiKind
    value: str
    shown: str


class Recogniser(NamedTuple):
    """One way to find personal data.

    Attributes
    ----------
    kinds : frozenset of PiiKind
        What it can find.
    lines : str
        Pattern of RE2 that every line matches in which it can find something.
    pattern : compiled pattern
        Proposes.
    check : callable
        Decides.
    """

    kinds: frozenset[PiiKind]
    lines: str
    pattern: re.Pattern[str]
    check: Callable[[re.Match[str], Line], Found | None]


def masked(value: str, front: int, back: int) -> str:
    """Hide all but some characters at both ends."""
    if len(value) <= front + back:
        return "*" * len(value)
    return f"{value[:front]}{'*' * (len(value) - front - back)}{value[len(value) - back :]}"


def _bare(text: str) -> str:
    return re.sub(r"[^0-9A-Za-z]", "", text)


def _id_card(found: re.Match[str], line: Line) -> Found | None:
    from stdnum.cn import ric
    from stdnum.exceptions import ValidationError

    number = _bare(found[0]).upper()
    # Not the library's whole check: it wants a county that there was in the year of birth, while numbers were
    # given later, by the county of that time.
    if number[:2] not in _PROVINCES or ric.calc_check_digit(number) != number[-1]:
        return None
    try:
        ric.get_birth_date(number)
    except ValidationError:
        return None
    return Found(PiiKind.CN_ID_CARD, number, masked(number, 3, 2))


def _bank_card(found: re.Match[str], line: Line) -> Found | None:
    from stdnum import luhn

    number = _bare(found[0])
    if not any(front.match(number) and len(number) in lengths for front, lengths in _CARD_LENGTHS):
        return None
    if not luhn.is_valid(number) or len(set(number)) < 2:
        return None
    if number == found[0]:  # nothing but digits: as likely some other number
        counted = patterns.NOT_A_PERSON.search(line.before(found.start()))
        known = number.startswith("62") and len(number) in (16, 19)
        if counted or not (known or line.says(patterns.CARD_WORDS)):
            return None
    return Found(PiiKind.BANK_CARD, number, masked(number, 4, 4))


def _iban(found: re.Match[str], line: Line) -> Found | None:
    from stdnum import iban

    text = found[0]
    # Words of capitals may follow, so the longest front that holds is taken.
    for end in range(len(text), 14, -1):
        number = text[:end].replace(" ", "")
        if (end == len(text) or not text[end].isalnum()) and iban.is_valid(number):
            return Found(PiiKind.IBAN, number, masked(number, 4, 2))
    return None


def _passport(found: re.Match[str], line: Line) -> Found | None:
    if not patterns.PASSPORT_WORDS.search(line.before(found.start())):
        return None
    return Found(PiiKind.PASSPORT, found[0], masked(found[0], 1, 2))


def _ssn(found: re.Match[str], line: Line) -> Found | None:
    from stdnum.us import ssn

    number = _bare(found[0])
    if not line.says(patterns.SSN_WORDS) or not ssn.is_valid(number):
        return None
    return Found(PiiKind.US_SSN, number, masked(number, 0, 2))


@cache
def _mobile_pattern() -> re.Pattern[str]:
    from phonenumbers import PhoneMetadata

    # What the library itself asks, without taking the number apart each time.
    china: Any = PhoneMetadata.metadata_for_region("CN")
    return re.compile(china.mobile.national_number_pattern)


def _may_begin(text: str, place: int) -> bool:
    front = text[max(0, place - 8) : place]
    return bool(patterns.MOBILE_BEFORE.search(front)) and not patterns.DIGIT_BEFORE.search(front)


def _mobile(found: re.Match[str], line: Line) -> Found | None:
    number = _bare(found[0])[-11:]
    # With the country's number in front of it, or, where that is part of another word, without.
    if not any(
        _may_begin(line.text, place) for place in (found.start(), found.end() - (13 if found[1] else 11))
    ):
        return None
    if not _mobile_pattern().fullmatch(number):
        return None
    if number == found[0] and patterns.NOT_A_PERSON.search(line.before(found.start())):
        return None
    return Found(PiiKind.CN_MOBILE, number, masked(number, 3, 4))


def _landline(found: re.Match[str], line: Line) -> Found | None:
    import phonenumbers

    if not found[1] and not patterns.PHONE_WORDS.search(line.before(found.start())):
        return None
    number = phonenumbers.parse(_bare(found[0]), "CN")
    if not phonenumbers.is_valid_number_for_region(number, "CN"):
        return None
    digits = "0" + str(number.national_number)
    return Found(PiiKind.CN_LANDLINE, digits, masked(digits, 3, 3))


def _phone(found: re.Match[str], line: Line) -> Found | None:
    import phonenumbers

    try:
        number = phonenumbers.parse(found[0], "US")
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    if number.country_code == 86:
        if phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE:
            digits = str(number.national_number)
            return Found(PiiKind.CN_MOBILE, digits, masked(digits, 3, 4))
        digits = "0" + str(number.national_number)
        return Found(PiiKind.CN_LANDLINE, digits, masked(digits, 3, 3))
    written = f"+{number.country_code}{number.national_number}"
    return Found(PiiKind.PHONE, written, masked(written, 3, 3))


def _email(found: re.Match[str], line: Line) -> Found | None:
    local, _, domain = found[0].rpartition("@")
    last = domain.rpartition(".")[2].lower()
    if last in patterns.FILE_ENDINGS or ".." in local or local == "git":
        return None
    if re.search(r"://[^\s/\"'<>]*\Z", line.text[max(0, found.start() - 80) : found.start()]):
        return None  # name and password of a URL: a secret, and looked for as such
    return Found(PiiKind.EMAIL, found[0].lower(), f"{local[0]}***@{domain}")


def _plate(found: re.Match[str], line: Line) -> Found | None:
    text = re.sub(r"[·• ]", "", found[0])
    serial = text[2:]
    # At most two letters; one more place is for cars that run on other fuels.
    if sum(sign.isalpha() for sign in serial) > 2 or (
        len(serial) == 6 and not set(serial) & set("DFABCEGHJK")
    ):
        return None
    return Found(PiiKind.CN_LICENCE_PLATE, text, masked(text, 2, 1))


def _address(found: re.Match[str], line: Line) -> Found | None:
    text = found[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if not address.is_global or address.is_multicast:
        return None
    if isinstance(address, ipaddress.IPv4Address) and (
        max(address.packed) <= 20 or patterns.VERSION_WORDS.search(line.before(found.start()))
    ):
        return None  # a version, or the number of a section
    part = ".".join(text.split(".")[:2]) + ".*.*" if "." in text else ":".join(text.split(":")[:2]) + ":*"
    return Found(PiiKind.NETWORK_ADDRESS, str(address), part)


def _one(kind: PiiKind) -> frozenset[PiiKind]:
    return frozenset({kind})


_PHONES: Final = frozenset({PiiKind.PHONE, PiiKind.CN_MOBILE, PiiKind.CN_LANDLINE})
RECOGNISERS: Final = (
    Recogniser(_one(PiiKind.EMAIL), patterns.EMAIL_LINES, patterns.EMAIL, _email),
    Recogniser(_one(PiiKind.CN_ID_CARD), patterns.ID_CARD_LINES, patterns.ID_CARD, _id_card),
    Recogniser(_one(PiiKind.IBAN), patterns.IBAN_LINES, patterns.IBAN, _iban),
    Recogniser(_one(PiiKind.BANK_CARD), patterns.CARD_LINES, patterns.CARD, _bank_card),
    Recogniser(_PHONES, patterns.PHONE_LINES, patterns.PHONE, _phone),
    Recogniser(_one(PiiKind.CN_MOBILE), patterns.MOBILE_LINES, patterns.MOBILE, _mobile),
    Recogniser(_one(PiiKind.CN_LANDLINE), patterns.LANDLINE_LINES, patterns.LANDLINE, _landline),
    Recogniser(_one(PiiKind.PHONE), patterns.PHONE_LINES, patterns.PHONE_US, _phone),
    Recogniser(_one(PiiKind.US_SSN), patterns.SSN_LINES, patterns.SSN, _ssn),
    Recogniser(_one(PiiKind.PASSPORT), patterns.PASSPORT_LINES, patterns.PASSPORT, _passport),
    Recogniser(_one(PiiKind.CN_LICENCE_PLATE), patterns.PLATE_LINES, patterns.PLATE, _plate),
    Recogniser(_one(PiiKind.NETWORK_ADDRESS), patterns.ADDRESS_LINES, patterns.ADDRESS, _address),
)
"""In the order in which they are asked: what one has found is not looked at by those after it."""
