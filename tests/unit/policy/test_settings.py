"""The section [policy] of dsvc.toml, and packs by name: what is misspelt lets nothing pass."""

from __future__ import annotations

import pytest

from dsvc.policy.pack import PackError, built_in, load_built_in, parse_pack
from dsvc.policy.settings import (
    MAX_PACKS,
    PolicySettings,
    PolicySettingsError,
    is_like_policy,
    parse_settings,
)


def settings(text: str) -> PolicySettings:
    return parse_settings(text.encode(), "dsvc.toml")


def test_what_is_said_is_read() -> None:
    assert parse_settings(None, "dsvc.toml") == settings("") == settings("[tables]\n") == PolicySettings()
    said = settings('[policy]\npacks = ["default", "own.toml"]\npurpose = "研究"\nshared = false\n')
    assert (said.packs, said.purpose, said.shared) == (("default", "own.toml"), "研究", False)
    most = settings(f"[policy]\npacks = {[f'p{n}.toml' for n in range(MAX_PACKS)]}\n")
    assert len(most.packs) == MAX_PACKS


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[policy\n", "not valid TOML"),
        ("[polcy]\n", "has a section 'polcy'"),
        ("[POLICY]\n", "has a section 'POLICY'"),
        ("[policies]\n", "has a section 'policies'"),
        ("policy = 1\n", "Expected `object`"),
        ("[policy]\npack = []\n", "unknown field `pack`"),
        ("[policy]\nshared = 1\n", "Expected `bool"),
        ('[policy]\npacks = ["default", " "]\n', "has an empty name"),
        ('[policy]\npacks = [""]\n', "has an empty name"),
        (f"[policy]\npacks = {['x'] * (MAX_PACKS + 1)}\n", f"at most {MAX_PACKS} are asked"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, problem: str) -> None:
    with pytest.raises(PolicySettingsError) as caught:
        settings(text)
    assert problem in caught.value.message


def test_sections_of_others_are_left_to_them() -> None:
    for name in ("tables", "roles", "lineage", "x" * 10_000):
        assert not is_like_policy(name)
    assert settings('[tables."*.csv"]\nkey = "id"\n') == PolicySettings()


@pytest.mark.parametrize("text", ["id = 1\n", "", 'id = "own"\nseverity = "x"\n'])
def test_a_pack_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(PackError, match=r"own\.toml: "):
        parse_pack(text.encode(), "own.toml")


@pytest.mark.parametrize("name", ["defualt", "Default", "../packs/default", "", "invariants.toml", "x" * 300])
def test_a_pack_that_there_is_not_is_named_with_those_there_are(name: str) -> None:
    with pytest.raises(PackError) as caught:
        load_built_in(name)
    assert all(each in f"{caught.value.message} {caught.value.hint}" for each in built_in())
