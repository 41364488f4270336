"""Mutants are what they say: one change each, that loads, and that a test of the changed place notices."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]

SOURCE = '''
LIMIT: int = 3
class Box:
    size = 4
    def full(self, items: list[int], *, more: int = 2) -> bool:
        """Whether it is."""
        for item in items:
            if item < 0:
                continue
            self.note(item)
        try:
            count = len(items) + 1
            count += 1
        except ValueError as error:
            raise KeyError(f"{count + 1}") from error
        return not (count >= LIMIT and more)
'''

EXPECTED = {
    (2, "`3` became `4`"),
    (2, "`3` became `2`"),
    (5, "`2` became `3`"),
    (5, "`2` became `1`"),
    (7, "no turn of `for … in items`"),
    (8, "`item < 0` became `item <= 0`"),
    (8, "`item < 0` became `item >= 0`"),
    (8, "`0` became `1`"),
    (8, "`0` became `-1`"),
    (9, "`continue` became `break`"),
    (10, "`self.note(item)` left out"),
    (12, "`len(items) + 1` became `len(items) - 1`"),
    (12, "`1` became `2`"),
    (12, "`1` became `0`"),
    (13, "`count += 1` became `count -= 1`"),
    (13, "`1` became `2`"),
    (13, "`1` became `0`"),
    (14, "nothing is caught"),
    (15, "`raise KeyError(f'{count + 1}') from error` left out"),
    (16, "`return not (count >= LIMIT and more)` became `return None`"),
    (16, "`not (count >= LIMIT and more)` became `count >= LIMIT and more`"),
    (16, "`count >= LIMIT and more` became `count >= LIMIT or more`"),
    (16, "`count >= LIMIT` became `count > LIMIT`"),
    (16, "`count >= LIMIT` became `count < LIMIT`"),
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutations", ROOT / "scripts" / "mutations.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_each_change_that_there_is(script: ModuleType) -> None:
    assert {(one.line, one.change) for one in script.mutations(SOURCE)} == EXPECTED


def test_what_makes_no_difference_stays(script: ModuleType) -> None:
    source = """
READ_BYTES = 4 * 1024
def work(first, second):
    logger.info("%d", len(first) + 1)
    logger.warning("%d", second)
    _log.debug("done")
    self.debug("done")
    for pair in zip(first, second, strict=True):
        put(ZstdCompressor(level=3, write_content_size=True), strict=True)
"""
    assert {(one.line, one.change) for one in script.mutations(source)} == {
        (2, "`4 * 1024` became `4 // 1024`"),
        (5, "`logger.warning('%d', second)` left out"),
        (7, "`self.debug('done')` left out"),
        (8, "no turn of `for … in zip(first, second, strict=True)`"),
        (9, "`put(ZstdCompressor(level=3, write_content_size=True), strict=True)` left out"),
        (9, "`True` became `False`"),
    }


def test_each_is_one_change_that_loads(script: ModuleType) -> None:
    found = script.mutations(SOURCE)
    plain = ast.dump(ast.parse(SOURCE))
    texts = set()
    for number, expected in enumerate(found):
        tree, change = script.mutated(SOURCE, number)
        assert (change.line, change.change) == (expected.line, expected.change)
        compile(tree, "source", "exec")
        texts.add(ast.dump(tree))
    assert plain not in texts
    assert len(texts) == len(found)
    with pytest.raises(IndexError):
        script.mutated(SOURCE, len(found))


def test_every_module_of_dsvc_can_be_changed(script: ModuleType) -> None:
    paths = sorted((ROOT / "dsvc" / "store").glob("*.py"))
    for path in paths:
        source = path.read_text(encoding="utf-8")
        count = len(script.mutations(source))
        for number in range(0, count, 97):
            compile(script.mutated(source, number)[0], str(path), "exec")


def test_changes_reach_functions_defaults_and_constants_wherever_they_are(tmp_path: Path) -> None:
    """In a process of its own, since it changes what others use."""
    (tmp_path / "dsvc_changed.py").write_text(SOURCE + "\nkept = Box.full\n", encoding="utf-8")
    code = (
        "import sys; sys.path[:0] = sys.argv[1:3]\n"
        "import dsvc_changed as module, mutant_patch, mutations\n"
        "from dsvc_changed import LIMIT, kept\n"
        "module.Box.note = lambda self, item: None\n"
        "known = mutant_patch.functions()\n"
        "source = open(module.__file__).read()\n"
        "numbers = {(m.line, m.change): n for n, m in enumerate(mutations.mutations(source))}\n"
        "put = lambda *what: mutant_patch.put_in_place(module, numbers[what], known)\n"
        "assert kept(module.Box(), [5]) is False\n"
        "put(16, '`not (count >= LIMIT and more)` became `count >= LIMIT and more`')\n"
        "assert kept(module.Box(), [5]) == 2\n"
        "put(5, '`2` became `3`')\n"
        "assert kept.__kwdefaults__ == {'more': 3}\n"
        "put(2, '`3` became `4`')\n"
        "assert module.LIMIT == 4\n"
    )
    arguments = [sys.executable, "-c", code, str(ROOT / "scripts"), str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
