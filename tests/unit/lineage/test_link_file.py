"""Row maps as bytes: what is read is what was written, wherever it is read from, and damage is noticed."""

from __future__ import annotations

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.lineage.link_file import BLOCK_LINKS, LinkFile, encode_links
from dsvc.lineage.links import NO_LINKS, Links, compose, compose_all, identity, ordered, united
from dsvc.lineage.packed_numbers import MAX_VALUE, pack_numbers, unpack_numbers
from dsvc.lineage.row_account import RowAccount, decode_account, encode_account
from dsvc.model.errors import MalformedInputError
from dsvc.model.run_record import Fates

rows = st.integers(0, 40)
pairs = st.lists(st.tuples(rows, rows), max_size=60)


def links_of(found: list[tuple[int, int]]) -> Links:
    return ordered(np.array([p[0] for p in found], np.int64), np.array([p[1] for p in found], np.int64))


def pairs_of(links: Links) -> list[tuple[int, int]]:
    return list(zip(links.outputs.tolist(), links.inputs.tolist(), strict=True))


def stored_bytes(data: bytes) -> int:
    return len(zstandard.ZstdCompressor(level=3).compress(data))


@given(pairs, st.lists(rows, max_size=10))
def test_links_are_sorted_unique_and_read_by_row(found: list[tuple[int, int]], wanted: list[int]) -> None:
    links, truth = links_of(found), sorted(set(found))
    assert pairs_of(links) == truth
    assert pairs_of(links.inverted()) == sorted((b, a) for a, b in truth)
    assert pairs_of(links.parents(wanted)) == [p for p in truth if p[0] in wanted]
    assert pairs_of(links.children(wanted)) == [p for p in truth if p[1] in wanted]
    file = LinkFile(encode_links(links))
    assert file.count == len(truth)
    assert pairs_of(file.all()) == truth
    assert pairs_of(file.parents(wanted)) == pairs_of(links.parents(wanted))
    assert pairs_of(file.children(wanted)) == pairs_of(links.children(wanted))


@given(pairs, pairs, pairs)
def test_composing_is_the_join_of_relations_and_associative(
    a: list[tuple[int, int]], b: list[tuple[int, int]], c: list[tuple[int, int]]
) -> None:
    first, second, third = links_of(a), links_of(b), links_of(c)
    expected = sorted({(z, x) for y, x in a for z, w in b if w == y})
    assert pairs_of(compose(first, second)) == expected
    left = compose(compose(first, second), third)
    right = compose(first, compose(second, third))
    assert pairs_of(left) == pairs_of(right) == pairs_of(compose_all([first, second, third]))
    assert pairs_of(united([first, second])) == sorted({*a, *b})


def test_identity_composes_to_nothing_new() -> None:
    links = links_of([(0, 3), (1, 1), (2, 1)])
    assert pairs_of(compose(identity(4), links)) == pairs_of(compose(links, identity(3))) == pairs_of(links)
    assert pairs_of(compose(NO_LINKS, links)) == pairs_of(compose(links, NO_LINKS)) == []
    assert pairs_of(united([])) == []


@pytest.mark.parametrize("shape", ["filter", "permutation", "aggregate", "explode", "far"])
def test_reading_some_rows_of_many_blocks_is_reading_all(shape: str) -> None:
    random = np.random.default_rng(4)
    count = 3 * BLOCK_LINKS + 17
    numbers = np.arange(count)
    links = {
        "filter": Links(numbers, np.flatnonzero(random.random(2 * count) < 0.6)[:count]),
        "permutation": Links(numbers, random.permutation(count)),
        "aggregate": ordered(random.integers(0, 900, count), numbers),
        "explode": Links(numbers, np.sort(random.integers(0, count // 3, count))),
        "far": Links(numbers + (1 << 40), random.integers(0, 1 << 61, count)),
    }[shape]
    file = LinkFile(memoryview(encode_links(links)))
    assert pairs_of(file.all()) == pairs_of(links)
    some = random.choice(links.outputs, 50)
    assert pairs_of(file.parents(some)) == pairs_of(links.parents(some))
    some = random.choice(links.inputs, 50)
    assert pairs_of(file.children(some)) == pairs_of(links.children(some))
    assert (file.max_output, file.max_input) == (links.outputs.max(), links.inputs.max())
    assert sum(block.size for block in file.blocks()) == file.count == links.size


def test_a_filter_takes_two_bytes_a_row_and_any_other_map_four_a_link() -> None:
    random = np.random.default_rng(1)
    count = 1_000_000
    keeps = random.random(count) < 0.7
    kept, dropped = np.flatnonzero(keeps), np.flatnonzero(~keeps)
    zeros = np.zeros(len(dropped), np.int64)
    account = RowAccount(
        Fates(kept=len(kept), dropped=len(dropped)), zeros[:0], dropped, ("low",), zeros, zeros - 1
    )
    map_bytes = stored_bytes(encode_links(Links(np.arange(len(kept)), kept)))
    assert map_bytes + stored_bytes(encode_account(account)) <= 2 * count
    assert map_bytes <= 2 * len(kept)
    permuted = Links(np.arange(count), random.permutation(count))
    assert stored_bytes(encode_links(permuted)) <= 4 * count
    joined = Links(np.arange(count), random.integers(0, 5 * count, count))
    assert stored_bytes(encode_links(joined)) <= 4 * count


@settings(max_examples=60)
@given(pairs, st.data())
def test_damage_is_noticed_or_harmless(found: list[tuple[int, int]], data: st.DataObject) -> None:
    links = links_of(found)
    encoded = encode_links(links)
    for damaged in _damaged(encoded, data):
        try:
            read = LinkFile(damaged).all()
        except MalformedInputError:
            continue
        assert pairs_of(read) == pairs_of(links)


def _damaged(encoded: bytes, data: st.DataObject) -> list[bytes]:
    cut = data.draw(st.integers(0, len(encoded) - 1))
    place = data.draw(st.integers(0, len(encoded) - 1))
    flipped = bytearray(encoded)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    return [encoded[:cut], bytes(flipped), encoded + b"\0"]


def test_every_cut_and_every_flip_of_one_map() -> None:
    encoded = encode_links(links_of([(0, 5), (1, 2), (1, 700), (9, 0)]))
    for length in range(len(encoded)):
        with pytest.raises(MalformedInputError):
            LinkFile(encoded[:length]).all()
    for bit in range(8 * len(encoded)):
        damaged = bytearray(encoded)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MalformedInputError):
            LinkFile(damaged).all()


@given(st.lists(st.integers(-MAX_VALUE, MAX_VALUE), max_size=30), st.binary(max_size=5))
def test_packed_numbers_come_back(values: list[int], after: bytes) -> None:
    packed = pack_numbers(np.array(values, np.int64))
    read, end = unpack_numbers(b"xy" + packed + after, 2)
    assert read.tolist() == values
    assert end == 2 + len(packed)


@given(st.binary(max_size=80))
def test_any_bytes_are_numbers_or_malformed(data: bytes) -> None:
    try:
        unpack_numbers(data)
    except MalformedInputError:
        return


def test_a_forged_count_takes_no_memory() -> None:
    # Equal numbers take no bytes: four billion of them are said in as many bytes as one.
    forged = (0xFFFFFFFF).to_bytes(4, "little") + pack_numbers(np.zeros(1, np.int64))[4:]
    with pytest.raises(MalformedInputError):
        unpack_numbers(forged)
    with pytest.raises(MalformedInputError):
        unpack_numbers(pack_numbers(np.zeros(3, np.int64)), most=2)


def an_account() -> RowAccount:
    return RowAccount(
        Fates(kept=3, changed=2, merged=1, split=1, dropped=3),
        np.array([1, 4]),
        np.array([0, 7, 9]),
        ("duplicate", "太短"),
        np.array([0, 1, 0]),
        np.array([2, -1, -1]),
    )


def test_an_account_comes_back_and_explains_a_drop() -> None:
    account = decode_account(encode_account(an_account()))
    assert account.fates == an_account().fates
    assert account.drops() == {"duplicate": 2, "太短": 1}
    assert account.drop_of(0) == ("duplicate", 2)
    assert account.drop_of(7) == ("太短", None)
    assert account.drop_of(1) is account.drop_of(10) is None
    assert [row for row in range(10) if account.is_changed(row)] == [1, 4]


def test_an_account_that_disagrees_with_itself_is_refused() -> None:
    good = an_account()
    bad = [
        good._replace(fates=Fates(kept=3, changed=2, merged=1, split=1, dropped=4)),
        good._replace(changed=np.array([4, 1])),
        good._replace(dropped=np.array([0, 7, 10])),
        good._replace(reason_of=np.array([0, 2, 0])),
        good._replace(survivors=np.array([2, -2, -1])),
        good._replace(reasons=("same", "same")),
    ]
    for account in bad:
        with pytest.raises(MalformedInputError):
            decode_account(encode_account(account))


def test_every_cut_and_every_flip_of_one_account() -> None:
    encoded = encode_account(an_account())
    for length in range(len(encoded)):
        with pytest.raises(MalformedInputError):
            decode_account(encoded[:length])
    for bit in range(8 * len(encoded)):
        damaged = bytearray(encoded)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(MalformedInputError):
            decode_account(damaged)


signed = st.integers(-2, 6)


@given(st.lists(st.tuples(signed, signed), max_size=12))
def test_a_forged_map_with_right_checksums_is_refused(found: list[tuple[int, int]]) -> None:
    """Whoever writes pairs out of order, twice or below 0 is told so, and not by wrong answers later."""
    forged = Links(np.array([p[0] for p in found], np.int64), np.array([p[1] for p in found], np.int64))
    is_right = found == sorted(set(found)) and all(min(pair) >= 0 for pair in found)
    encoded = encode_links(forged)
    if is_right:
        assert pairs_of(LinkFile(encoded).all()) == found
        return
    with pytest.raises(MalformedInputError):
        LinkFile(encoded).all()


@pytest.mark.parametrize("place", [BLOCK_LINKS, 2 * BLOCK_LINKS])
def test_blocks_that_overlap_are_refused(place: int) -> None:
    outputs = np.arange(3 * BLOCK_LINKS) // 2
    inputs = np.arange(3 * BLOCK_LINKS)
    outputs[place] = outputs[place - 1]
    inputs[place] = inputs[place - 1]
    with pytest.raises(MalformedInputError):
        LinkFile(encode_links(Links(outputs, inputs))).all()
