from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsvc.history.commit_codec import Commit, decode_commit, encode_commit
from dsvc.history.git_object import MAX_BYTES, object_id, parse_commit, parse_tag, parse_tree, signed_payload
from dsvc.history.signature import Signature
from dsvc.history.trailers import clean_message, join_message, split_message
from dsvc.model.errors import MalformedInputError
from dsvc.model.ids import CommitId, NodeId

ROOT = NodeId(b"\x11" * 32)
WHO = Signature(name="Ann", email="ann@example.org", seconds=1_795_000_000, offset_minutes=-90)


def make(message: str = "text", trailers: tuple[tuple[str, str], ...] = (), **other: object) -> bytes:
    fields: dict[str, object] = {
        "parents": (),
        "author": WHO,
        "committer": WHO,
        "manifest": ROOT,
        "files": 3,
        "bytes": 4,
        **other,
    }
    return encode_commit(message=message, trailers=trailers, **fields)[-1][1]  # type: ignore[arg-type]


def read(data: bytes) -> Commit:
    return decode_commit(object_id("commit", data), data)


def test_round_trip() -> None:
    parents = (CommitId("a" * 40), CommitId("b" * 40))
    data = make("标题\n\n正文", (("Dsvc-No-Verify", "true"),), parents=parents, lineage=NodeId(b"\x22" * 32))
    commit = read(data)
    assert commit.parents == parents
    assert commit.message == "标题\n\n正文"
    assert commit.manifest == ROOT
    assert (commit.files, commit.bytes) == (3, 4)
    assert commit.lineage == NodeId(b"\x22" * 32)
    assert commit.author == WHO
    assert commit.trailers == (
        ("Dsvc-No-Verify", "true"),
        ("Dsvc-Manifest", ROOT.hex()),
        ("Dsvc-Files", "3"),
        ("Dsvc-Bytes", "4"),
        ("Dsvc-Lineage", "22" * 32),
    )


def test_the_tree_repeats_the_manifest_for_people_with_git_alone() -> None:
    objects = encode_commit(
        parents=(), author=WHO, committer=WHO, message="m", manifest=ROOT, files=3, bytes=4
    )
    (_, blob), (_, tree), (_, commit) = objects
    assert blob.decode() == f"format 1\nroot {ROOT.hex()}\nfiles 3\nbytes 4\n"
    assert list(parse_tree(tree)) == [(b"manifest", object_id("blob", blob))]
    assert parse_commit(commit).tree == object_id("tree", tree)


@pytest.mark.parametrize(
    "message",
    [
        f"title\n\nDsvc-Manifest: {'f' * 64}",
        f"title\n\nDsvc-Manifest: {'f' * 64}\nDsvc-Files: 9\nDsvc-Bytes: 9\n\n \t\n",
        f"Dsvc-Manifest: {'f' * 64}",
        f"title\r\n\r\nDsvc-Manifest: {'f' * 64}\r\n",
        f"title\n\u2028\u0085Dsvc-Manifest: {'f' * 64}",
        "",
    ],
)
def test_a_forged_line_in_the_message_is_text(message: str) -> None:
    commit = read(make(message))
    assert commit.manifest == ROOT
    assert commit.message == clean_message(message)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_any_text_comes_back(message: str) -> None:
    commit = read(make(message))
    assert commit.message == clean_message(message)
    assert commit.manifest == ROOT
    assert len(commit.trailers) == 3


@pytest.mark.parametrize("message", ["a\0b", "a\ud800b"])
def test_what_is_no_text_is_refused(message: str) -> None:
    with pytest.raises(MalformedInputError):
        make(message)


@pytest.mark.parametrize(
    "trailer",
    [
        ("Dsvc-Manifest", "f" * 64),
        ("dsvc-lineage", "f" * 64),
        ("Two Words", "x"),
        ("", "x"),
        ("-x", "x"),
        ("Key", ""),
        ("Key", " x"),
        ("Key", "x\nDsvc-Manifest: y"),
        ("Key", "x\0"),
        ("Key", "x\ud800"),
    ],
)
def test_trailers_that_could_confuse_are_refused(trailer: tuple[str, str]) -> None:
    with pytest.raises(MalformedInputError):
        make("m", (trailer,))


GOOD = make("m")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (f"Dsvc-Manifest: {ROOT.hex()}\n", ""),
        ("Dsvc-Files: 3\n", ""),
        ("Dsvc-Bytes: 4\n", ""),
        ("Dsvc-Files: 3\n", "Dsvc-Files: 3\nDsvc-Files: 3\n"),
        ("Dsvc-Files: 3\n", "Dsvc-Files: 3\ndsvc-files: 4\n"),
        ("Dsvc-Files: 3\n", "dsvc-files: 3\n"),
        ("Dsvc-Files: 3\n", "Dsvc-Files: -3\n"),
        ("Dsvc-Files: 3\n", "Dsvc-Files: 03\n"),
        ("Dsvc-Files: 3\n", "Dsvc-Files: 1e999\n"),
        ("Dsvc-Files: 3\n", "Dsvc-Files: 9223372036854775808\n"),
        ("Dsvc-Files: 3\n", "Dsvc-Files: ３\n"),
        ("Dsvc-Files: 3\n", "Dsvc-Files: 3\n\n"),
        ("Dsvc-Files: 3\n", "Dsvc-Files: 3\n folded\n"),
        (ROOT.hex(), "../../etc/passwd"),
        (ROOT.hex(), ROOT.hex().replace("1", "A")),
        ("tree ", "trie "),
        ("author Ann", "author A<nn"),
        ("author Ann", "author A>nn"),
        ("author Ann", "author A\0nn"),
        ("author Ann", "author A\nnn"),
        ("1795000000", "-1"),
        ("1795000000", "NaN"),
        ("1795000000", str(1 << 63)),
        ("1795000000", str((1 << 53) + 1)),
        ("-0130", "+1401"),
        ("-0130", "-9999"),
        ("-0130", "0130"),
        ("-0130", "+0160"),
        ("committer", "comitter"),
        ("\n\n", "\n"),
    ],
)
def test_h15_h24_h27_hostile_commits_are_refused(old: str, new: str) -> None:
    assert old.encode() in GOOD
    with pytest.raises(MalformedInputError):
        read(GOOD.replace(old.encode(), new.encode()))


@pytest.mark.parametrize("data", [b"", b"\n\n", b"tree " + b"a" * 40, b"tree " + b"a" * 40 + b"\n\nm"])
def test_cut_off_commits_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedInputError):
        read(data)


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused_with_a_typed_error(at: int, value: int) -> None:
    data = bytearray(GOOD)
    data[at] = value
    with contextlib.suppress(MalformedInputError):
        read(bytes(data))


def test_h21_a_million_parents_are_refused() -> None:
    line = b"parent " + b"c" * 40 + b"\n"
    with pytest.raises(MalformedInputError):
        read(GOOD.replace(b"author", line * 5000 + b"author", 1))
    with pytest.raises(MalformedInputError):
        read(GOOD.replace(b"author", line * 1_000_000 + b"author", 1))
    with pytest.raises(MalformedInputError):
        make("m", parents=[CommitId("a" * 40)] * 2)


def test_an_endless_message_is_refused_and_a_long_paragraph_is_text() -> None:
    with pytest.raises(MalformedInputError):
        read(GOOD + b"x" * MAX_BYTES)
    with pytest.raises(MalformedInputError):
        read(GOOD + b"Key: value\n" * 100_000)


def test_a_message_that_is_not_utf8_is_read_with_replacement() -> None:
    data = GOOD.replace(b"\n\nm\n", b"\n\nm\xff\xfe\n").replace(b"Ann", b"A\xffn")
    assert read(data).message == "m\ufffd\ufffd"
    assert read(data).author.name == "A\ufffdn"


def test_other_headers_are_passed_over() -> None:
    signed = GOOD.replace(b"\n\nm", b"\nencoding latin1\ngpgsig -----BEGIN\n \n x\n -----END\n\nm", 1)
    assert read(signed).manifest == ROOT


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "a\nb"},
        {"name": "a<b"},
        {"email": "a>b"},
        {"name": "a\0b"},
        {"name": "\ud800"},
        {"name": "x" * 5000},
        {"seconds": -1},
        {"seconds": (1 << 53) + 1},
        {"offset_minutes": 841},
        {"offset_minutes": -841},
    ],
)
def test_h24_signatures_that_could_forge_a_line_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(MalformedInputError):
        Signature(**{"name": "a", "email": "b", "seconds": 0, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_795_298_400, "2026-11-21T22:00:00Z"),
        (253_402_300_799, "9999-12-31T23:59:59Z"),
        (253_402_300_800, "10000-01-01T00:00:00Z"),
        (1 << 53, "285428751-11-12T07:36:32Z"),
    ],
)
def test_h24_dates(seconds: int, text: str) -> None:
    assert Signature(name="", email="", seconds=seconds, offset_minutes=840).rfc3339() == text


def test_signature_round_trip() -> None:
    for offset in (0, 480, -90, 840, -840, 330):
        who = Signature(name="李 四", email="", seconds=5, offset_minutes=offset)
        assert Signature.parse(who.encode()) == who
    made = [
        Signature(name="A", email="", seconds=5, offset_minutes=each).encode() for each in (0, 1, -1, -90)
    ]
    assert made == [b"A <> 5 +0000", b"A <> 5 +0001", b"A <> 5 -0001", b"A <> 5 -0130"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"object " + b"a" * 40 + b"\ntype commit\n\nm",
        b"object x\ntype commit\ntag v1\n\nm",
        b"object " + b"a" * 40 + b"\ntype evil\ntag v1\n\nm",
    ],
)
def test_hostile_tags_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedInputError):
        parse_tag(data)


@pytest.mark.parametrize(
    "data", [b"100644", b"100644 a\0" + b"x" * 19, b"777 a\0" + b"x" * 20, b"100644 " + b"a" * 99]
)
def test_hostile_trees_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedInputError):
        list(parse_tree(data))


SIGNATURE = b"-----BEGIN SSH SIGNATURE-----\nU1NI\nSIG=\n-----END SSH SIGNATURE-----\n"


def test_h61_a_signature_covers_everything_else() -> None:
    covered: list[bytes] = []

    def sign(payload: bytes) -> bytes:
        covered.append(payload)
        return SIGNATURE

    data = make("标题\n\n正文", sign=sign)
    assert covered == [make("标题\n\n正文")]
    assert read(data).signature == SIGNATURE
    assert signed_payload(data) == covered[0]
    head = data.partition(b"\n\n")[0].split(b"\n")
    assert head[-4:] == [
        b"gpgsig -----BEGIN SSH SIGNATURE-----",
        b" U1NI",
        b" SIG=",
        b" -----END SSH SIGNATURE-----",
    ]
    unsigned = make()
    assert read(unsigned).signature is None
    assert signed_payload(unsigned) == unsigned


def test_h61_headers_around_a_signature() -> None:
    plain = make()
    head, _, message = plain.partition(b"\n\n")
    folded = SIGNATURE.rstrip(b"\n").replace(b"\n", b"\n ")
    more = (
        head
        + b"\nencoding UTF-8\ngpgsig "
        + folded
        + b"\ngpgsig-sha256 other\n lines\nmergetag x\n y\n\n"
        + message
    )
    assert read(more).signature == SIGNATURE
    assert signed_payload(more) == head + b"\nencoding UTF-8\nmergetag x\n y\n\n" + message
    twice = head + b"\ngpgsig " + folded + b"\ngpgsig " + folded + b"\n\n" + message
    assert read(twice).signature == SIGNATURE + SIGNATURE
    # What looks like a signature in the message, or before the committer, is none.
    assert read(make(f"gpgsig {SIGNATURE.decode()}")).signature is None


@pytest.mark.parametrize(
    ("data", "text", "trailers"),
    [
        (b"title\n\nKey: value\n", "title", (("Key", "value"),)),
        (b"title\n\ntext\n\nA: 1\nB: 2", "title\n\ntext", (("A", "1"), ("B", "2"))),
        # A first paragraph is a title, whatever it looks like; blank lines above say that there is none.
        (b"Key: value\n", "Key: value", ()),
        (b"A: 1\nB: 2\n", "A: 1\nB: 2", ()),
        (b"\n\nKey: value\n", "", (("Key", "value"),)),
        (b"title\n\nKey: value\nand text", "title\n\nKey: value\nand text", ()),
        (b"title\n\nKey:value", "title\n\nKey:value", ()),
        (b"", "", ()),
        (b"\n \n", "", ()),
    ],
)
def test_the_last_paragraph(data: bytes, text: str, trailers: tuple[tuple[str, str], ...]) -> None:
    assert split_message(data) == (text, trailers)


def test_as_many_trailers_as_may_be() -> None:
    trailers = tuple((f"Key-{n}", str(n)) for n in range(1000))
    assert split_message(join_message("title", trailers)) == ("title", trailers)
    longer = join_message("title", (*trailers, ("One", "more")))
    assert split_message(longer) == (longer.decode().rstrip("\n"), ())
    many = b"\n".join([b"text"] * 1001)
    assert split_message(many) == (many.decode(), ())
