"""Bytes of records, forged: values exchanged in them, or bytes of them changed; and what must come of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import strategies as st

from dsvc.model.errors import MalformedInputError

_PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["", "\0", "../x", "active", "filter", "9" * 200])
    | st.binary(max_size=40)
    | st.sampled_from([b"", b"../x", b"/etc", b".dsvc/config", b"x" * 32]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at]
    pairs = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list | tuple)
        else ()
    )
    for key, inner in pairs:
        found += places(inner, (*at, key))
    return found


def value_at(value: Any, at: tuple[Any, ...]) -> Any:
    for key in at:
        value = value[key]
    return value


def with_(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    if not at:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[at[0]] = with_(value[at[0]], at[1:], new)
    return copy


@st.composite
def records(draw: st.DrawFn, whole: bytes) -> bytes:
    """A record in which some values were put in the place of others."""
    plain = msgspec.msgpack.decode(whole)
    for _ in range(draw(st.integers(1, 3))):
        plain = with_(plain, draw(st.sampled_from(places(plain))), draw(_PLAIN))
    return msgspec.msgpack.encode(plain)


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes of which some are others, some went, or some came."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        at, kind = draw(st.integers(0, len(data))), draw(st.integers(0, 3))
        if kind == 0:
            data[at:] = b""
        elif kind == 1:
            data[at:at] = draw(st.binary(max_size=9))
        else:
            data[at : at + 8] = draw(st.binary(min_size=8, max_size=8))
    return bytes(data)


def refused(work: Callable[[], object]) -> None:
    with contextlib.suppress(MalformedInputError):
        work()
