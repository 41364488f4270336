"""Result files: every reader, and what recognises them; references to rows that travel through tools."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import cache

from dsvc.feedback.importers.importer import Importer, ImportOptions
from dsvc.feedback.importers.json_document import decode, to_json
from dsvc.feedback.importers.peek import key_paths
from dsvc.feedback.importers.registry import by_name, recognise
from dsvc.feedback.reference import read_reference, write_reference
from dsvc.model.errors import DsvcError
from dsvc.model.feedback import EvaluationRun
from tests.feedback_mutations import FILES, everything, opened
from tests.fuzz.registry import Form, target

_OLD = "2026-11-22T11-23-26.701416"
_READERS: dict[str, tuple[str, ...]] = {
    "lm-eval": (f"lm_eval/run/results_{_OLD}.json", f"lm_eval/run/samples_reviews_choice_{_OLD}.jsonl"),
    "inspect": ("inspect/epochs.json", "inspect/epochs.eval"),
    "junit": ("junit/node.xml", "junit/pytest.xml"),
    "evidently": ("evidently/snapshot.json", "evidently/snapshot_drift.json"),
    "deepeval": ("deepeval/test_run.json", "deepeval/test_run_conversations.json"),
    "promptfoo": ("promptfoo/eval.json",),
    "mlflow": ("mlflow/assessments.json", "mlflow/eval_results_table.json", "mlflow/traces.jsonl"),
}
_PLAIN = {
    "jsonl": '{"path": "a.csv", "row": {"id": 7}, "passed": false, "symptom": "错", "scores": {"f1": 0.5}}\n',
    "csv": "path,id,passed,symptom\na.csv,7,false,错\n",
}
_LONGEST = 24_000


@cache
def _reader(name: str) -> Importer:
    return by_name(name)


def _parse(name: str) -> Callable[[bytes], None]:
    def parse(data: bytes) -> None:
        imported = opened(_reader(name), data, ImportOptions(file_name="results.json"))
        assert isinstance(imported.run, EvaluationRun)
        everything(imported)
        _reader(name).recognises(data[:2000], "结果.json")

    return parse


def _seeds(name: str) -> Callable[[], Sequence[bytes]]:
    if name in _PLAIN:
        return lambda: [_PLAIN[name].encode()]
    return lambda: [(FILES / each).read_bytes() for each in _READERS[name]]


def _form(name: str) -> Form:
    return Form.JSON if name in ("evidently", "deepeval", "promptfoo") else Form.BYTES


for _name in (*_READERS, *_PLAIN):
    target(f"results-{_name}", _seeds(_name), form=_form(_name), runs=500, longest=_LONGEST)(_parse(_name))


@target(
    "results-recognised",
    [each.encode() for each in _PLAIN.values()] + [b"PK\3\4", b"<?xml?><testsuites/>"],
    runs=500,
)
def recognised(data: bytes) -> None:
    key_paths(data)
    with contextlib.suppress(DsvcError):
        assert recognise(data, data[:20].decode("utf-8", "replace"))


@target("json-document", ['{"a": [1, 2.5, null, true, "中\\u00e9"], "b": {}}'.encode()], form=Form.JSON)
def json_document(data: bytes) -> None:
    value = decode(data)
    # Numbers that are none are written as null.
    again = to_json(decode(to_json(value).encode("utf-8")))
    assert again == to_json(value)


_ID = "1" * 40


@target(
    "reference",
    [f"{_ID}:a/图.csv#id=7,name=%2Cx".encode(), f"{_ID}:a.csv#@12".encode(), b"HEAD:a"],
    runs=4000,
)
def reference(data: bytes) -> None:
    found = read_reference(data.decode("utf-8", "surrogateescape"))
    if found.key or found.position is not None:
        row = dict(found.key) or None
        text = write_reference(_ID, found.path, row, position=found.position)
        assert read_reference(text)._replace(revision="") == found._replace(revision="")
