"""A labelled set for scans: sentences with planted values of each kind, and with near misses, from a seed.

A planted value stands in a sentence of Chinese, of English or in a record, with and without a word that says
what it is. A near miss looks like one and is none: another checksum, order numbers, timestamps, digests,
versions, coordinates, ids.
"""

import random
import string
from collections.abc import Callable, Iterator
from typing import NamedTuple

from stdnum import luhn
from stdnum.cn import ric

from dsvc.policy.detectors.pii_kinds import PiiKind

BARE = (
    "{}",
    "我的信息是{}，请查收。",
    "联系{}即可",
    "Please note {} for later.",
    '{{"id": 7, "value": "{}", "ok": true}}',
    "7,{},ok",
)
WORDED = {
    PiiKind.BANK_CARD: ("银行卡号{}。", "Pay with card {} today", '{{"card_no": "{}"}}'),
    PiiKind.PASSPORT: ("护照号码：{}，", "Passport No. {} issued", '{{"passport": "{}"}}'),
    PiiKind.US_SSN: ("社会安全号{}", "SSN: {} on file", '{{"ssn": "{}"}}'),
}
CITIES = ("110105", "310101", "440301", "510107", "330106", "420106")
DIGITS = string.digits


class Sample(NamedTuple):
    """A line, and the kind that it holds; None where it is a near miss, with what it looks like."""

    text: str
    kind: PiiKind | None
    like: str


def _some(rng: random.Random, signs: str, count: int) -> str:
    return "".join(rng.choices(signs, k=count))


def id_card(rng: random.Random) -> str:
    """A number of an identity card with its checksum."""
    day = f"{rng.randint(1950, 2010)}{rng.randint(1, 12):02}{rng.randint(1, 28):02}"
    front = rng.choice(CITIES) + day + _some(rng, DIGITS, 3)
    return front + ric.calc_check_digit(front + "0")


def bank_card(rng: random.Random) -> str:
    """A number of a card with its checksum, in one run or in groups."""
    front = rng.choice(("622202", "621700", "411111", "555555", "528012")) + _some(rng, DIGITS, 9)
    number = front + luhn.calc_check_digit(front)
    sign = rng.choice(("", " ", "-"))
    return sign.join(number[place : place + 4] for place in range(0, 16, 4)) if sign else number


def iban(rng: random.Random) -> str:
    """A German account with its checksum."""
    account = _some(rng, DIGITS, 18)
    return f"DE{98 - int(account + '131400') % 97:02}{account}"


def _phone_cn(rng: random.Random) -> str:
    number = rng.choice(("138", "139", "150", "177", "188")) + _some(rng, DIGITS, 8)
    return rng.choice((number, f"{number[:3]}-{number[3:7]}-{number[7:]}", f"+86 {number}"))


PLANTED: dict[PiiKind, Callable[[random.Random], str]] = {
    PiiKind.CN_ID_CARD: id_card,
    PiiKind.BANK_CARD: bank_card,
    PiiKind.IBAN: iban,
    PiiKind.PASSPORT: lambda rng: rng.choice("EG") + _some(rng, DIGITS, 8),
    PiiKind.US_SSN: lambda rng: f"{rng.randint(100, 599)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}",
    PiiKind.CN_MOBILE: _phone_cn,
    PiiKind.CN_LANDLINE: lambda rng: f"{rng.choice(('010', '021'))}-6{_some(rng, DIGITS, 7)}",
    PiiKind.PHONE: lambda rng: f"+44 20 7946 {rng.randint(1000, 9999)}",
    PiiKind.EMAIL: lambda rng: f"{_some(rng, string.ascii_lowercase, 6)}@mail{rng.randrange(9)}.example.com",
    PiiKind.CN_LICENCE_PLATE: lambda rng: f"{rng.choice('京沪粤')}{rng.choice('ABC')}{_some(rng, DIGITS, 5)}",
    PiiKind.NETWORK_ADDRESS: lambda rng: (
        f"114.{rng.randint(30, 250)}.{rng.randrange(256)}.{rng.randrange(256)}"
    ),
}


def _broken(number: str, rng: random.Random) -> str:
    """The same with another last digit."""
    return number[:-1] + rng.choice([digit for digit in DIGITS if digit != number[-1]])


NEAR: dict[str, Callable[[random.Random], str]] = {
    "id card, wrong checksum": lambda rng: _broken(id_card(rng), rng),
    "bank card, wrong checksum": lambda rng: "银行卡" + _broken(bank_card(rng), rng),
    "iban, wrong checksum": lambda rng: _broken(iban(rng), rng),
    "order number": lambda rng: f"order_id={_some(rng, '123', 1)}{_some(rng, DIGITS, 10)}",
    "order number, Chinese": lambda rng: f"订单号：1{_some(rng, '3578', 1)}{_some(rng, DIGITS, 9)}",
    "id of 16 digits": lambda rng: _some(rng, "123456789", 1) + _some(rng, DIGITS, 15),
    "id of 18 digits": lambda rng: _some(rng, "123456789", 1) + _some(rng, DIGITS, 17),
    "id of 11 digits": lambda rng: _some(rng, "23456789", 1) + _some(rng, DIGITS, 10),
    "phone-like id of 11 digits, no word": lambda rng: "1" + _some(rng, "3578", 1) + _some(rng, DIGITS, 9),
    "timestamp, seconds": lambda rng: str(rng.randint(1_000_000_000, 1_900_000_000)),
    "timestamp, milliseconds": lambda rng: str(rng.randint(1_000_000_000_000, 1_900_000_000_000)),
    "date and time": lambda rng: (
        f"2026-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}T08:{rng.randint(10, 59)}:00Z"
    ),
    "digest": lambda rng: _some(rng, "0123456789abcdef", 64),
    "uuid": lambda rng: "-".join(_some(rng, "0123456789abcdef", count) for count in (8, 4, 4, 4, 12)),
    "decimal": lambda rng: f"0.{_some(rng, DIGITS, 16)}",
    "version": lambda rng: (
        f"version {rng.randint(1, 99)}.{rng.randint(0, 99)}.{rng.randint(0, 99)}.{rng.randint(0, 9)}"
    ),
    "coordinates": lambda rng: f"{rng.uniform(-90, 90):.6f},{rng.uniform(-180, 180):.6f}",
    "isbn": lambda rng: f"ISBN 978-7-{_some(rng, DIGITS, 4)}-{_some(rng, DIGITS, 4)}-{_some(rng, DIGITS, 1)}",
    "private address": lambda rng: f"192.168.{rng.randrange(256)}.{rng.randrange(256)}",
    "name of a package": lambda rng: f"@scope/pkg@{rng.randrange(9)}.{rng.randrange(9)}.0",
    "credit code of a firm": lambda rng: (
        "9135010" + _some(rng, DIGITS, 2) + "M" + _some(rng, DIGITS, 7) + "Y"
    ),
}


def samples(count: int, seed: int = 11) -> Iterator[Sample]:
    """So many lines of each kind and of each sort of near miss."""
    rng = random.Random(seed)
    for kind, make in PLANTED.items():
        for _ in range(count):
            forms = WORDED.get(kind, BARE)
            if kind is PiiKind.BANK_CARD and rng.random() < 0.5:
                forms = BARE
            yield Sample(rng.choice(forms).format(make(rng)), kind, kind)
    for like, make in NEAR.items():
        for _ in range(count):
            yield Sample(rng.choice(BARE).format(make(rng)), None, like)
