"""What policy is read from can hold anything: it is read whole, or refused with a typed error."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsvc.model.detection import Detection, DetectionStatus, Hit, decode_detection, encode_detection
from dsvc.model.detection_run import DetectionRun, decode_detection_run, encode_detection_run
from dsvc.model.errors import DsvcError, MalformedInputError, UnsupportedFormatError, UsageError
from dsvc.policy.detectors.word_list import WordList
from dsvc.policy.example_text import parse_examples
from dsvc.policy.example_world import build_case
from dsvc.policy.licence_settings import declared_licences
from dsvc.policy.pack import PACKS, Pack, built_in, parse_pack
from dsvc.policy.roster import Roster, RosterError, read_roster
from dsvc.policy.rule import RuleUse
from dsvc.policy.rule_catalogue import all_rules
from dsvc.policy.settings import PolicySettings, parse_settings
from dsvc.porcelain.policy.policy_in_force import put_in_force
from dsvc.porcelain.state.moment import MomentError, parse_moment

EXAMPLES = Path(PACKS).parent / "examples"
PACK = b"""id = "own"
version = "1"
date = "2026-01-01"
title = { en = "Own", zh = "Own" }

[rules.SRC-04]
severity = "blocking"
stage = "commit"
clause = "S4"
"""
SETTINGS = """[policy]
packs = ["default", "数据/own.toml"]
purpose = "commercial"
shared = true
words = "words.txt"

[policy.parameters.SRC-04]
max_rate = 0.01

[policy.licences."LicenseRef-acme"]
commercial = "no"
share_alike = ["CC-BY-SA-4.0"]

[roles]
compliance_officer = [
"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ann@example.org",
]
""".encode()
DETECTION = Detection(
    detector="pii",
    version="1",
    config="00",
    input=bytes(32),
    status=DetectionStatus.HITS,
    scanned_bytes=5,
    counts={"email": 1},
    hits=(Hit(kind="email", shown="a***", line=3),),
    measures={"share": 0.5},
)
RUN = DetectionRun(
    detector="pii",
    version="1",
    config="00",
    clean=((b"a", bytes(32)),),
    found=(("数".encode(), bytes(32), DETECTION),),
)


def settle(data: bytes) -> PolicySettings:
    """Read all that policy has in a ``dsvc.toml``, and put it in force."""
    found = parse_settings(data, "dsvc.toml")
    declared_licences(found.licences)
    put_in_force(found, [parse_pack(PACK, "own")])
    read_roster(data, "dsvc.toml")
    return found


def examples(data: bytes) -> None:
    for world in parse_examples(data, "SRC-01", "SRC-01.toml").worlds.values():
        build_case(world)


@lru_cache
def texts() -> Mapping[str, tuple[Callable[[bytes], object], bytes]]:
    """What reads each kind of text, and one that is right."""
    packs = {
        name: (lambda data: parse_pack(data, "x"), (PACKS / f"{name}.toml").read_bytes())
        for name in built_in()
    }
    words = "# version: 1\n# updated: 2026-11-20\n[风险]\n第一个词\nsecond\n".encode()
    toml = 'version = "1"\nupdated = "2026-11-20"\n[risks]\n"风险" = ["第一个词", "b"]\n'.encode()
    lines = b'{"version":"1","updated":"2026-11-20"}\n{"word":"a","risk":"b"}\n'
    return {
        **packs,
        "own": (lambda data: parse_pack(data, "x"), PACK),
        "settings": (settle, SETTINGS),
        "words": (WordList.load, words),
        "words in TOML": (WordList.load, toml),
        "words in JSON": (WordList.load, lines),
        "examples": (examples, (EXAMPLES / "SRC-01.toml").read_bytes()),
        "detection": (decode_detection, encode_detection(DETECTION)),
        "run": (decode_detection_run, encode_detection_run(RUN)),
    }


HOSTILE = [
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"nan", b"-inf", b"1e999", b"9" * 30, b"9" * 5000, b"2026-01-01",
    b"2026-01-01T00:00:00Z", b"true", b'"\\u001b[31m"', b'"\\ud800"', b"[]", b"{}", b"[[[[" * 500,
    b"{a=" * 300, b"a." * 3000 + b"a=1", b"[x." + b"y." * 200 + b"z]", b"'", b'"""', b"\r", b"\n[policy]\n",
    b"id='b'\n", b"[rules.SRC-99]", b"[[rules]]", b"#" * 10_000, "２０２６-01-01".encode(), b"-0", b"0x7f",
]  # fmt: skip


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, bytes]:
    """A text that was right, with pieces taken out, doubled or replaced by hostile ones."""
    kind = draw(st.sampled_from(sorted(texts())))
    data = texts()[kind][1]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 30)))
        piece = draw(st.sampled_from(HOSTILE) | st.binary(max_size=6) | st.just(data[at:end] * 2))
        if draw(st.booleans()):
            # At a value: these are what most mutants in between don't reach.
            at = data.find(b"= ", at) + 2
            end = max(at, data.find(b"\n", at))
        data = data[:at] + piece + data[end:]
    return kind, data


def _read_or_refuse(mutant: tuple[str, bytes]) -> None:
    kind, data = mutant
    read = texts()[kind][0]
    try:
        found = read(data)
    except (UsageError, MalformedInputError, UnsupportedFormatError):
        return
    if isinstance(found, Detection):
        assert encode_detection(found) == data
    elif isinstance(found, Pack):
        assert set(found.rules) == set(tomllib.loads(data.decode("utf-8-sig"))["rules"])
        assert len(found.digest) == 64
        assert {use.rule.id for use in found.uses(None)} == set(found.rules)
        for use in found.uses(None):
            assert set(use.terms.parameters) == set(use.rule.parameters)


@given(mutants())
@settings(max_examples=150, deadline=None)
def test_whatever_it_holds(mutant: tuple[str, bytes]) -> None:
    _read_or_refuse(mutant)


@pytest.mark.soak
@given(mutants())
@settings(max_examples=10_000, deadline=None)
def test_whatever_it_holds_many_times(mutant: tuple[str, bytes]) -> None:
    _read_or_refuse(mutant)


@given(
    st.text(max_size=40)
    | st.from_regex(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?)?", fullmatch=True)
)
@settings(max_examples=200, deadline=None)
@example("0001-01-01T00:00:00+23:59")
@example("9999-12-31T23:59:59-23:59")
@example("２０２６-11-22")
@example("0999-01-01T00:00:00Z")
@example("2026-W47-7T00:00Z")
def test_a_moment_is_a_day_that_compares(text: str) -> None:
    try:
        found = parse_moment(text)
    except MomentError:
        return
    assert (len(found.day), found.day.isascii()) == (10, True)
    assert "0001-01-01" <= found.day <= "9999-12-31"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["compliance_officer", "engineer", "x"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
@settings(max_examples=40, deadline=None)
def test_a_roster_of_anything(section: object) -> None:
    try:
        found = Roster.parse(section, "dsvc.toml")
    except RosterError:
        return
    assert not found.has_officer


VALUES = (
    "nan", "inf", "-inf", "true", "false", "'1'", "[]", "9" * 30, "-" + "9" * 400, "2026-01-01", "{a=1}",
    "0x7f", "1e308", "-1", "0.5", "0",
)  # fmt: skip
NUMBERS = [
    (rule.id, name)
    for rule in all_rules()
    for name, each in rule.parameters.items()
    if isinstance(each.default, int | float) and not isinstance(each.default, bool)
]


def asked(pack: str, profile: str | None = None, own: str = "") -> RuleUse | None:
    """The one rule of a pack as it is asked; None where it is refused."""
    try:
        found = parse_settings(own.encode(), "dsvc.toml")
        uses = put_in_force(found, [parse_pack(pack.encode(), "own")]).uses
        (use,) = uses if profile is None else parse_pack(pack.encode(), "own").uses(profile)
    except UsageError:
        return None
    return use


@pytest.mark.parametrize("value", VALUES)
def test_a_threshold_is_a_number_that_has_an_order(value: str) -> None:
    """In a pack, in a profile, in the settings; what is set beside a pack is never looser."""
    for rule, name in NUMBERS:
        pack = PACK.decode().replace("SRC-04", rule)
        plain = asked(pack)
        assert plain is not None
        old = plain.terms.number(name)
        own = asked(f"{pack}parameters = {{ {name} = {value} }}\n")
        assert own is None or math.isfinite(own.terms.number(name))
        profile = f"{pack}[profiles.p.{rule}]\n{name} = {value}\n"
        beside = f"[policy]\n[policy.parameters.{rule}]\n{name} = {value}\n"
        for use in (asked(profile, "p"), asked(pack, own=beside)):
            if use is not None:
                number = use.terms.number(name)
                is_lower = use.rule.parameters[name].stricter == "lower"
                assert number <= old if is_lower else number >= old


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + PACK,
        PACK + b"#" * (3 << 20),
        PACK.replace(b"\n", b"\r\n"),
        PACK.replace(b'"own"', b'"' + b"a" * 64 + b'"'),
    ],
)
def test_packs_that_are_odd_and_whole(data: bytes) -> None:
    assert set(parse_pack(data, "x").rules) == {"SRC-04"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        PACK + b"\0",
        PACK.decode().encode("utf-16"),
        PACK + b"\xff",
        PACK + PACK,
        PACK + b"[rules.SRC-04]\n",
        PACK + b'severity = "warning"\n',
        PACK + b"[rules.src-04]\nseverity='blocking'\nstage='commit'\nclause='x'\n",
        PACK + b"more = 1\n",
        PACK.replace(b"2026-01-01", b"2026-02-30"),
        PACK.replace(b'"2026-01-01"', b"2026-01-01"),
        PACK.replace(b'"own"', b'"own\\u001b[31m"'),
        PACK.replace(b'"own"', b'"own\\n"'),
        PACK.replace(b'"own"', b'"' + b"a" * 65 + b'"'),
        PACK.replace(b'"1"', b'"1\\u0007"'),
        PACK.replace(b'"1"', b'" "'),
        PACK.replace(b'"1"', b'"' + b"1" * 65 + b'"'),
        PACK.replace(b'"blocking"', b'"BLOCKING"'),
        PACK.replace(b"[rules.SRC-04]", b"[rule.SRC-04]"),
        PACK[: PACK.index(b"[rules")] + b"rules = {}\n",
        PACK + b'effective_from = "2999-99-99"\n',
        PACK + "effective_from = '２０２６-01-01'\n".encode(),
        PACK + b'effective_until = "0000-00-00"\n',
        PACK + b"parameters = { max_rat = 0.1 }\n",
        PACK + b"[profiles.p.SRC-05]\nmax_rate = 0.01\n",
        PACK[: PACK.index(b"[rules")] + b"".join(b"[rules.SRC-%d]\n" % n for n in range(100, 20_100)),
        b"[" * 100_000,
        b"a." * 500_000 + b"a = 1\n" + PACK,
        b"a = {b" + b".b" * 100_000 + b" = 1}\n" + PACK,
        b"x = " + b"[" * 500 + b"]" * 500 + b"\n" + PACK,
        b"x = " + b"9" * 5000 + b"\n" + PACK,
    ],
)
def test_packs_that_are_none(data: bytes) -> None:
    with pytest.raises(DsvcError) as caught:
        parse_pack(data, "x")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("section", ["Policy", "POLICY", "polcy", "policies", "Polic\\u0079", "poIicy"])
def test_a_section_that_may_be_meant_is_asked_about(section: str) -> None:
    with pytest.raises(DsvcError, match="section"):
        parse_settings(f"[\"{section}\"]\npacks = ['default']\n".encode(), "x")


def test_sections_of_others_are_left_alone() -> None:
    data = "[tables.\"*.csv\"]\n[lineage]\n[roles]\n[feedback]\n[project]\n[polars]\n['政策']\n".encode()
    assert parse_settings(data, "x") == PolicySettings()


def test_so_many_packs_are_not_asked() -> None:
    with pytest.raises(DsvcError, match="64"):
        parse_settings(b"[policy]\npacks = [" + b"'default'," * 100_000 + b"]\n", "x")


def test_no_byte_of_a_detection_can_be_changed_unseen() -> None:
    """Another value, or refused; never the same value from other bytes, nor clean with hits."""
    data = encode_detection(DETECTION)
    for at in range(len(data)):
        for changed in (
            data[:at],
            data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :],
            data[:at] + b"\xc0" + data[at:],
        ):
            try:
                found = decode_detection(changed)
            except DsvcError:
                continue
            assert found != DETECTION
            assert found.status is not DetectionStatus.CLEAN
