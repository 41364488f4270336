"""Inputs to begin with in which values were exchanged: libFuzzer changes bytes, and seldom gets so far."""

from __future__ import annotations

import json
import random
from typing import Any, Final

import msgspec

from tests.fuzz.registry import Form
from tests.record_mutations import places, value_at, with_

_NUMBERS: Final = [0, 1, -1, 2**31, 2**53, 2**63 - 1, 2**64 - 1, -(2**63), float("nan"), float("inf"), 1e308]
_TEXTS: Final = ["", "\0", "../x", "/etc", "-x", "中", "e\u0301", "9" * 400, "2026-02-30", "a\nb", "\x1b]0;x"]
_BYTES: Final = [b"", b"\0", b"../x", b".dsvc/config", b"x" * 32, b"\xff\xfe", b"0" * 40]
_DEEP: Final = 1500
_NESTED: Final[list[Any]] = [None, True, False, [], {}, [[]], [1], {"a": 1}, {"": None}]


def mutants(form: Form, whole: bytes, count: int, seed: int) -> list[bytes]:
    """Make inputs of one, with one to three of its values exchanged in each; of mere bytes there are none."""
    if form is Form.BYTES:
        return []
    generator = random.Random(seed)
    plain = msgspec.msgpack.decode(whole) if form is Form.MSGPACK else json.loads(whole)
    found = [_deep(form, whole)]
    for _ in range(count):
        value = plain
        for _ in range(generator.randint(1, 3)):
            value = with_(value, generator.choice(places(value)), _odd(plain, generator, form))
        if form is Form.MSGPACK:
            found.append(msgspec.msgpack.encode(value))
        else:
            found.append(json.dumps(value, ensure_ascii=generator.random() < 0.5).encode("utf-8", "replace"))
    return found


def _deep(form: Form, whole: bytes) -> bytes:
    """Add a part that nests deeper than Python recurses, where readers skip what they don't know."""
    if form is Form.JSON:
        return b'{"zz": ' + b"[" * _DEEP + b"]" * _DEEP + b", " + whole.lstrip()[1:]
    key = b"\xa2zz" if whole[0] & 0xF0 == 0x80 else b""
    return bytes([whole[0] + 1]) + whole[1:] + key + b"\x91" * _DEEP + b"\xc0"


def _odd(whole: Any, generator: random.Random, form: Form) -> Any:
    """A value to put somewhere: an odd one, or one from elsewhere in the whole."""
    kind = generator.randrange(5)
    if kind == 0:
        return value_at(whole, generator.choice(places(whole)))
    if kind == 1 and form is Form.MSGPACK:
        return generator.choice(_BYTES)
    if kind == 2:
        return generator.choice(_NESTED)
    return generator.choice(_NUMBERS if kind == 3 else _TEXTS)
