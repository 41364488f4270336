"""Keys of what detectors looked at: asked few or many questions, they answer as a set does."""

from __future__ import annotations

import pytest

from dsvc.porcelain.policy.detection_cache import KeySet


def key(number: int) -> bytes:
    return number.to_bytes(2, "big") * 18


@pytest.mark.parametrize("stored", [0, 1, 2, 999])
def test_keys_answer_as_a_set_does(stored: int) -> None:
    expected = {key(2 * number) for number in range(stored)}
    keys = KeySet(b"".join(sorted(expected)))
    asked = keys.asked(3)
    for number in (0, 1, 2, stored, 2 * stored - 2, 2 * stored - 1, 2 * stored, 65535):
        if number >= 0:
            assert (key(number) in asked) == (key(number) in expected)
    many = keys.asked(10_000)
    assert [n for n in range(2 * stored + 2) if key(n) in many] == list(range(0, 2 * stored, 2))
    keys.add(key(1))
    keys.discard(key(0))
    assert set(keys) == (expected | {key(1)}) - {key(0)}
    assert len(keys) == len(set(keys))
    assert (key(1) in keys, key(0) in keys) == (True, False)
