"""What is taken of presidio: its interface as far as it is used, in a package that stands in for it.

Presidio is large and asks for a language model on installing, so few test runs have it; where one has,
`test_detectors_pii.py` asks the real one.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dsvc.model.detection import Detection
from dsvc.policy.detectors import pii, presidio_finder
from dsvc.policy.detectors.detector import DetectorUnavailableError
from dsvc.policy.detectors.pii import Pii
from dsvc.policy.detectors.text_blocks import PIECE_BYTES
from tests.detector_scans import scan

PRESIDIO = """
import re
from typing import NamedTuple

class Result(NamedTuple):
    start: int
    end: int
    entity_type: str
    score: float

class Model:
    name = "model"
    supported_entities = ["PERSON"]

    def analyze(self, text, entities, artifacts):
        raise AssertionError("a language model is asked")

class PatternRecognizer:
    def __init__(self, name, pattern, score):
        self.name, self.supported_entities = name, [name]
        self._pattern, self._score = re.compile(pattern), score

    def analyze(self, text, entities, artifacts):
        assert entities == self.supported_entities
        found = [Result(*each.span(), self.name, self._score) for each in self._pattern.finditer(text)]
        return found or None

class RecognizerRegistry:
    def __init__(self, supported_languages):
        assert supported_languages == ["en"]
        self.recognizers = []

    def load_predefined_recognizers(self, languages):
        import tldextract
        assert tldextract.extract.__self__.kwargs == {"suffix_list_urls": (), "cache_dir": None}
        self.recognizers = [
            Model(),
            PatternRecognizer("US_ITIN", r"9\\d\\d-7\\d-\\d{4}", 0.5),
            PatternRecognizer("US_ITIN_2", r"9\\d\\d-7\\d-\\d{4}", 0.49),
            PatternRecognizer("URL", r"https?:\\S+", 1.0),
            PatternRecognizer("DATE_TIME", r"\\d{4}-\\d\\d-\\d\\d", 1.0),
        ]
"""
EXTRACT = """
class TLDExtract:
    def __init__(self, **kwargs):
        self.kwargs = kwargs

    def __call__(self, text):
        raise AssertionError("the network is asked")
"""
ITIN = "912-71-1234"


def loaded() -> list[str]:
    return [each for each in sys.modules if each.partition(".")[0] in ("presidio_analyzer", "tldextract")]


@pytest.fixture
def presidio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand in for presidio and tldextract, and leave no trace."""
    files = {
        "presidio_analyzer/__init__.py": PRESIDIO,
        "presidio_analyzer-9.8.7.dist-info/METADATA": "Name: presidio-analyzer\nVersion: 9.8.7\n",
        "tldextract/__init__.py": "from tldextract.tldextract import TLDExtract\n",
        "tldextract/tldextract.py": EXTRACT,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    caches = presidio_finder._recognisers, pii.library_version
    for name in [
        each for each in sys.modules if each.partition(".")[0] in ("presidio_analyzer", "tldextract")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    for cache in caches:
        cache.cache_clear()
    yield
    for name in [
        each for each in sys.modules if each.partition(".")[0] in ("presidio_analyzer", "tldextract")
    ]:
        del sys.modules[name]
    for cache in caches:
        cache.cache_clear()


def looked(text: str) -> Detection:
    return scan(Pii(presidio=True), text)


@pytest.mark.usefixtures("presidio")
def test_what_its_patterns_are_sure_of_is_counted_beside_our_own() -> None:
    found = looked(f"fine\n它是 {ITIN}, 13800138000 since 2026-11-22, see https://example.org/x\n")
    assert found.counts == {"cn_mobile": 1, "presidio_us_itin": 1}
    (own, theirs) = sorted(found.hits, key=lambda hit: hit.kind)
    assert (theirs.line, theirs.shown, own.line) == (2, "91*******34", 2)
    assert found.version.endswith("+presidio-analyzer-9.8.7")
    assert scan(Pii(), f"{ITIN}\n").counts == {}


@pytest.mark.usefixtures("presidio")
@pytest.mark.parametrize("start", [0, 1, PIECE_BYTES - 6, PIECE_BYTES, 2 * PIECE_BYTES - 1])
def test_what_stands_on_a_border_is_counted_once(start: int) -> None:
    assert looked("是" * (start // 3) + "," * (start % 3) + ITIN + "," * PIECE_BYTES).counts == {
        "presidio_us_itin": 1
    }


def test_without_it_nothing_is_told() -> None:
    if importlib.util.find_spec("presidio_analyzer") is not None:
        pytest.skip("presidio is installed")
    with pytest.raises(DetectorUnavailableError, match=r"dsvc\[presidio\]"):
        looked("anything")
