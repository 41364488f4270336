"""Logs of Inspect: what the tool's own reader says is what is read; archives that lie are refused."""

from __future__ import annotations

import io
import json
import math
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from dsvc.feedback.importers.importer import FeedbackMalformedError, Imported, ImportOptions
from dsvc.feedback.importers.inspect_log import Inspect
from dsvc.feedback.importers.registry import recognise
from dsvc.model.feedback import Sample
from tests.feedback_mutations import FILES, REVIEWS, answers, damaged_bytes, damaged_json, everything, opened

FOLDER = FILES / "inspect"
NAMES = ("live.eval", "epochs.eval", "epochs.json")
DATA = {name: (FOLDER / name).read_bytes() for name in NAMES}
TOOL: dict[str, Any] = json.loads((FOLDER / "inspect_reads.json").read_bytes())
LOG: dict[str, Any] = json.loads(DATA["epochs.json"])


def read(data: bytes, options: ImportOptions | None = None) -> Imported:
    return opened(Inspect(), data, options)


def written(
    members: Mapping[str, Any], *, claims: int | None = None, method: int = 93, flags: int = 0
) -> bytes:
    """An archive as Inspect writes it, made by other means; `claims` is what members say of their length."""
    body, directory = bytearray(), bytearray()
    for name, value in members.items():
        plain = value if isinstance(value, bytes) else json.dumps(value).encode()
        packed = {93: zstandard.compress, 8: lambda data: zlib.compress(data, wbits=-15)}.get(method, bytes)(
            plain
        )
        size = len(plain) if claims is None else claims
        about = (flags, method, 0, 0, zlib.crc32(plain), len(packed), size, len(name.encode()), 0)
        directory += struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 63, 63, *about, 0, 0, 0, 0, len(body))
        directory += name.encode()
        body += struct.pack("<4s5H3L2H", b"PK\x03\x04", 63, *about) + name.encode() + packed
    end = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, len(members), len(members), len(directory), len(body), 0
    )
    return bytes(body + directory + end)


def members_of_log() -> dict[str, Any]:
    header = {key: value for key, value in LOG.items() if key not in ("samples", "reductions")}
    return {"header.json": header} | {
        f"samples/{each['id']}_epoch_{each['epoch']}.json": each for each in LOG["samples"]
    }


def number(value: Any) -> float:
    return {"C": 1.0, "P": 0.5, "I": 0.0}[value] if isinstance(value, str) else float(value)


def means(said: dict[str, Any]) -> dict[str, dict[str, float]]:
    """The means over epochs, for each sample and metric, from what the tool reads."""
    values: dict[str, dict[str, list[float]]] = {}
    for sample in said["samples"]:
        of_sample = values.setdefault(sample["ref"], {})
        for name, value in sample["scores"].items():
            parts = value if isinstance(value, dict) else {name: value}
            for part, each in parts.items():
                metric = f"{part}/{'accuracy' if part in ('match', 'same') else 'mean'}"
                of_sample.setdefault(metric, []).append(number(each))
    return {
        ref: {metric: sum(each) / len(each) for metric, each in of_sample.items()}
        for ref, of_sample in values.items()
    }


def scored(samples: list[Sample]) -> list[Sample]:
    return [each for each in samples if each.scores]


@pytest.mark.parametrize("name", NAMES)
def test_the_run_is_what_the_tool_reads(name: str) -> None:
    run, metrics, _ = read(DATA[name])
    said = TOOL[name]
    assert (run.tool, run.tool_version, run.seed) == ("inspect", "0.3.285", "7")
    assert (run.suite, run.model, run.run_id) == (said["task"], said["model"], said["run_id"])
    assert run.created == said["created"].replace("+00:00", "Z")
    assert json.loads(run.extra["status"]) == "success"
    assert {each.name: each.value for each in metrics} == {
        key: value for key, value in said["metrics"].items() if not key.endswith("/stderr")
    }
    assert {each.name.partition("/")[0]: each.n for each in metrics} == said["scored"]
    errors = {
        f"{each.name.partition('/')[0]}/stderr": each.stderr for each in metrics if each.stderr is not None
    }
    assert errors == {key: value for key, value in said["metrics"].items() if key.endswith("/stderr")}


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_what_the_tool_reads_and_give_its_metrics_again(name: str) -> None:
    imported = read(DATA[name])
    samples = scored(everything(imported))
    expected = means(TOOL[name])
    assert {str(each.selector.ref): each.scores for each in samples} == expected
    assert set(expected) == {row["dsvc_ref"] for row in REVIEWS}
    for metric in imported.metrics:
        values = [each.scores[metric.name] for each in samples]
        assert math.isclose(sum(values) / len(values), metric.value)
    reduced = TOOL[name]["reductions"]["match"]
    by_row = {str(each.selector.ref).partition("#id=")[2]: each.scores["match/accuracy"] for each in samples}
    assert {key.removeprefix("review-"): value for key, value in reduced.items()} == by_row


def test_both_formats_say_the_same() -> None:
    def without_places(samples: list[Sample]) -> list[Any]:
        return [
            (each.sample_id, each.passed, each.symptom, each.scores, each.explanation) for each in samples
        ]

    archive, document = read(DATA["epochs.eval"]), read(DATA["epochs.json"])
    assert without_places(everything(archive)) == without_places(everything(document))
    assert archive.metrics == document.metrics
    assert archive.run == document.run


def test_what_is_wrong_with_a_sample() -> None:
    found = {
        name: sorted(
            (str(each.selector.ref).partition("#id=")[2], each.symptom)
            for each in everything(read(DATA[name]))
            if each.passed is False
        )
        for name in NAMES
    }
    wrong = [
        ("5", "wrong-answer-known"),
        ("5", "wrong-answer-match"),
        ("5", "wrong-answer-same"),
        ("6", "partly-wrong-answer-same"),
        ("6", "wrong-answer-known"),
        ("6", "wrong-answer-match"),
    ]
    assert found["live.eval"] == wrong
    assert found["epochs.eval"] == found["epochs.json"] == [*wrong, ("8", "error")]
    (broken,) = [each for each in everything(read(DATA["epochs.json"])) if each.symptom == "error"]
    assert broken.explanation == "ValueError('模型没有回答')"


def log_with(
    samples: list[dict[str, Any]], scores: list[dict[str, Any]] | None = None, epochs: int = 1
) -> bytes:
    about = {"task": "t", "model": "m", "created": "2026-11-22T10:00:00+00:00", "config": {"epochs": epochs}}
    return json.dumps(
        {
            "version": 2,
            "status": "success",
            "eval": about,
            "results": {"scores": scores or []},
            "samples": samples,
        }
    ).encode()


def one_score(value: Any, metric: str = "accuracy") -> Sample:
    scores = [{"name": "s", "scorer": "s", "metrics": {metric: {"name": metric, "value": 0.5}}}]
    sample = {"id": 7, "epoch": 1, "scores": {"s": {"value": value}}}
    (found,) = everything(read(log_with([sample], scores)))
    return found


@pytest.mark.parametrize(
    ("value", "metric", "symptom", "counts"),
    [
        ("C", "accuracy", "", 1.0),
        ("I", "accuracy", "wrong-answer-s", 0.0),
        ("P", "accuracy", "partly-wrong-answer-s", 0.5),
        ("N", "accuracy", "no-answer-s", 0.0),
        (True, "mean", "", 1.0),
        (False, "mean", "wrong-answer-s", 0.0),
        ("no", "mean", "wrong-answer-s", 0.0),
        (1, "accuracy", "", 1.0),
        (0.25, "accuracy", "partly-wrong-answer-s", 0.25),
        (0.0, "mean", None, 0.0),
        ("0.75", "mean", None, 0.75),
        (7, "accuracy", None, 7.0),
        ("什么", "accuracy", None, 0.0),
        (float("nan"), "accuracy", None, None),
        ([1, 0], "accuracy", None, None),
        (None, "accuracy", None, None),
    ],
)
def test_values_of_scores(value: Any, metric: str, symptom: str | None, counts: float | None) -> None:
    found = one_score(value, metric)
    assert found.passed is (None if symptom is None else not symptom)
    assert found.symptom == (symptom or None)
    assert found.scores == ({} if counts is None else {f"s/{metric}": counts})


def test_rows_without_a_reference_are_found_by_their_id() -> None:
    data = log_with([{"id": "甲", "epoch": 1}, {"id": 3, "epoch": 1}])
    assert [each.selector.row for each in everything(read(data))] == [{"id": "甲"}, {"id": 3}]
    mapped = ImportOptions(columns={"id": "编号"})
    assert [each.selector.row for each in everything(read(data, mapped))] == [{"编号": "甲"}, {"编号": 3}]


def test_a_sample_that_failed_in_one_epoch_has_failed() -> None:
    scores = [{"name": "s", "scorer": "s", "metrics": {"accuracy": {"name": "accuracy", "value": 0.75}}}]
    samples = [
        {"id": 1, "epoch": n, "scores": {"s": {"value": "C" if n != 2 else "I"}}} for n in (1, 2, 3, 4)
    ]
    (found,) = everything(read(log_with(samples, scores, epochs=4)))
    assert (found.passed, found.scores) == (False, {"s/accuracy": 0.75})
    with pytest.raises(FeedbackMalformedError, match="stands twice"):
        everything(read(log_with([samples[0], samples[0]], scores, epochs=4)))


def test_an_evaluation_that_was_broken_off_is_read_as_far_as_it_went() -> None:
    members = members_of_log()
    header = members.pop("header.json")
    start = {key: header[key] for key in ("version", "eval")}
    imported = read(written({"_journal/start.json": start} | members))
    assert imported.metrics == ()
    assert all(not each.scores for each in everything(imported))


def test_logs_are_known_by_their_content() -> None:
    for name, data in DATA.items():
        assert recognise(data[: 64 << 10], "x.bin").name == "inspect", name
    empty = io.BytesIO()
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("photo.jpg", b"x" * 100)
    assert not Inspect().recognises(empty.getvalue(), "photos.zip")
    assert not Inspect().recognises((FOLDER / "inspect_reads.json").read_bytes(), "x.json")


@pytest.mark.parametrize("method", [0, 8, 93])
def test_archives_of_any_method_that_the_tool_has_used(method: int) -> None:
    assert len(scored(everything(read(written(members_of_log(), method=method))))) == 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"claims": 300 << 20}, "larger than 256 MiB"),
        ({"claims": 10}, "not of the length"),
        ({"claims": 200 << 20}, "not of the length"),
        ({"method": 12}, "method 12"),
        ({"flags": 1}, "encrypted"),
    ],
)
def test_members_that_lie_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(FeedbackMalformedError, match=message):
        everything(read(written(members_of_log(), **options)))


def test_a_bomb_is_refused_without_unpacking_it() -> None:
    bomb = {"header.json": b" " * (64 << 20)}
    for claims in (1000, 300 << 20):
        data = written(bomb, claims=claims)
        assert len(data) < 1 << 20
        tracemalloc.start()
        with pytest.raises(FeedbackMalformedError):
            read(data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 8 << 20


def test_members_that_share_bytes_or_a_name_are_refused() -> None:
    plain = io.BytesIO()
    with zipfile.ZipFile(plain, "w") as archive:
        archive.writestr("header.json", b"{}" + b" " * 1000)
        for n in range(9):
            info = zipfile.ZipInfo(f"samples/{n}.json")
            info.header_offset, info.compress_size, info.file_size, info.CRC = 0, 1002, 1002, 0
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
    with pytest.raises(FeedbackMalformedError, match="overlap"):
        read(plain.getvalue())
    twice = written({"header.json": LOG, "header.jsom": LOG}).replace(b"header.jsom", b"header.json")
    with pytest.raises(FeedbackMalformedError, match="twice"):
        read(twice)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"PK\x03\x04", b"[]", b'{"version": 2}', b'{"version": 1, "eval": {}}']
)
def test_what_is_no_log_is_refused(data: bytes) -> None:
    with pytest.raises(FeedbackMalformedError):
        read(data)


def test_a_member_before_the_beginning_is_refused() -> None:
    data = written({"header.json": LOG})
    end = data.rindex(b"PK\x05\x06")
    moved = (
        data[: end + 16]
        + struct.pack("<L", struct.unpack_from("<L", data, end + 16)[0] + 100)
        + data[end + 20 :]
    )
    with pytest.raises(FeedbackMalformedError, match="not where the directory"):
        read(moved)


def test_a_damaged_member_is_refused() -> None:
    data = bytearray(DATA["live.eval"])
    at = data.index(b"header.json") + 60
    data[at] ^= 0xFF
    with pytest.raises(FeedbackMalformedError, match=r"^header\.json: damaged"):
        read(bytes(data))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), name=st.sampled_from(NAMES))
def test_any_damage_is_an_answer_or_a_typed_error(seed: int, name: str) -> None:
    answers(Inspect(), damaged_bytes(DATA[name], seed))
    damaged = damaged_json(LOG, seed)
    answers(Inspect(), json.dumps(damaged).encode())
