"""What a finding is about: files whose names look like runs, sources and defects stay files."""

from __future__ import annotations

import pytest
from blake3 import blake3

from dsvc.lineage.validation import Outcome, Violation
from dsvc.policy.example_text import world_of
from dsvc.policy.example_world import build_case
from tests.policykit import ask

HASH = "0" * 64


def found(name: str, content: str = "x", more: str = "") -> list[Violation]:
    """What the rule against secrets says of a file of this name."""
    world = f'file = [{{ path = "{name}", content = "{content}" }}]\n'
    return ask("SAFE-04", f'{world}detections = {{ secrets = {{ status = "hits" }} }}\n{more}').violations


@pytest.mark.parametrize(
    "name",
    [
        "run:数据",
        "run:abcd",
        f"run:{HASH}",
        f"run:{'z' * 64}",
        "source:源",
        "defect:d",
        f"a@{HASH}",
        "a@" + "z" * 64,
    ],
)
def test_a_file_may_be_called_like_something_else(name: str) -> None:
    """It is named, and its content is what a waiver would be bound to."""
    (one,), (same,), (other,) = found(name), found(name), found(name, "y")
    assert one.subject == name.encode()
    assert one.outcome is Outcome.FAIL
    assert one.digest
    assert one.digest == same.digest
    assert one.digest != other.digest


def test_what_a_waiver_is_bound_to_is_found_without_a_file() -> None:
    case = build_case(world_of({"file": [{"path": "a", "content": "x"}]}))
    gone = b"11" * 32
    assert case.digest_of(b"gone.csv@" + gone) == bytes.fromhex(gone.decode())
    assert case.digest_of(b"") == case.version
    for nothing in (b"gone.csv", b"gone.csv@11", b"gone.csv@" + b"z" * 64, b"gone.csv@" + "é".encode() * 32):
        assert case.digest_of(nothing) == b""
    assert case.digest_of(b"run:" + gone) == bytes.fromhex(gone.decode())
    assert case.digest_of(b"run:" + b"z" * 64) == case.digest_of(b"source:none") == b""


def test_a_waiver_of_a_source_holds_for_no_file_that_is_called_like_it() -> None:
    file = found("source:web")[0].digest
    (both,) = found("source:web", more='[[source]]\nid = "web"\n')
    (source,) = ask("SRC-04", 'file = [{ path = "a", content = "x" }]\nsource = [{ id = "web" }]').violations
    assert source.subject == both.subject == b"source:web"
    assert len({file, both.digest, source.digest, b""}) == 4
    assert both.sources == source.sources == ("web",)
    assert file == blake3(b"x").digest(), "it is called like no source that there is"
