"""SYN-01: synthetic data says what made it, and keeps its mark."""

from __future__ import annotations

from dsvc.lineage.validation import Outcome
from tests.policykit import Answer, ask

PASS, FAIL, INCOMPLETE = Outcome.PASS, Outcome.FAIL, Outcome.INCOMPLETE
WHOLE = {
    "generator": '"模型"',
    "generator_version": '"2"',
    "prompt_hash": '"h"',
    "aigc_label": '"AIGC"',
}


def source(acquisition: str, fields: dict[str, str], **parameters: bool) -> Answer:
    lines = "\n".join(f"{name} = {value}" for name, value in fields.items())
    head = 'file = [{ path = "a.txt", content = "x" }]\n[[source]]\nid = "合成"\n'
    return ask("SYN-01", f'{head}acquisition = "{acquisition}"\n{lines}', parameters)


def test_every_fact_is_needed() -> None:
    assert source("synthetic", WHOLE).outcome is PASS
    for name in WHOLE:
        less = {key: value for key, value in WHOLE.items() if key != name}
        answer = source("synthetic", less)
        assert answer.outcome is INCOMPLETE
        assert f"--field {name}=" in answer.messages
        assert source("synthetic", {**WHOLE, "undetermined": f'["{name}"]'}).outcome is INCOMPLETE
    seeded = {**WHOLE, "seed_data": '["a.txt"]'}
    del seeded["prompt_hash"]
    assert source("synthetic", seeded).outcome is PASS


def test_marks() -> None:
    def mark(**marks: str) -> Outcome:
        kept = {name: value for name, value in WHOLE.items() if name != "aigc_label"}
        return source("synthetic", {**kept, **{name: f'"{text}"' for name, text in marks.items()}}).outcome

    assert mark(c2pa_source_type="trainedAlgorithmicMedia") is PASS
    assert mark(c2pa_source_type="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture") is FAIL
    assert mark(aigc_label="removed") is mark(aigc_label="无") is mark(aigc_label="removed:") is FAIL
    assert mark(aigc_label="removed: the licence of the generator asks for it") is PASS


def test_which_sources_are_synthetic() -> None:
    assert source("open_dataset", {}).outcome is PASS
    assert source("open_dataset", {}, stated=True).outcome is INCOMPLETE
    assert source("open_dataset", {"synthetic": '"no"'}, stated=True).outcome is PASS
    assert source("open_dataset", {"synthetic": '"yes"'}).outcome is INCOMPLETE
    assert source("open_dataset", {"synthetic": '"yes"', **WHOLE}).outcome is PASS
    assert source("synthetic", {"synthetic": '"no"', **WHOLE}).outcome is FAIL
    assert source("open_dataset", {"undetermined": '["synthetic"]'}).outcome is INCOMPLETE
    assert source("open_dataset", {"undetermined": '["acquisition"]'}).outcome is INCOMPLETE


def run(kind: str, **facts: str) -> Outcome:
    told = ", ".join(f'{name} = "{value}"' for name, value in facts.items())
    return ask(
        "SYN-01",
        'file = [{ path = "a.txt", content = "x" }, { path = "b.txt", content = "y" }]\n'
        'source = [{ id = "s", paths = ["a.txt"] }]\n'
        f'[[run]]\nname = "生成"\nkind = "{kind}"\ninputs = ["a.txt"]\noutputs = ["b.txt"]\n'
        f"facts = {{ {told} }}",
    ).outcome


def test_runs_that_synthesise() -> None:
    whole = {"generator": "m", "version": "1", "config_hash": "h"}
    for kind in ("synthesize", "augment"):
        assert run(kind, **whole) is PASS
        assert run(kind, **whole, by="human") is FAIL
        assert run(kind, generator="m", version="1") is INCOMPLETE
        assert run(kind, generator="m", seed_data="a.txt") is INCOMPLETE
    assert run("synthesize") is INCOMPLETE
    assert run("augment") is run("clean") is PASS
