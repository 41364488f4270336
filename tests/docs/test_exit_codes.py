"""docs/exit-codes.md says what the code does, and the code says what the contract fixes."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "exit_codes.py"

CONTRACT = {2, 10, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 30, 31, 32, 40, 41, 50}


def test_page_is_up_to_date() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_code_of_the_contract_has_an_error() -> None:
    from dsvc.model.errors import DsvcError

    script = runpy.run_path(str(SCRIPT))
    script["load_all_errors"]()
    codes = {cls.exit_code for cls in script["subclasses"](DsvcError)}
    assert codes >= CONTRACT


def test_every_error_has_a_summary_and_a_name_of_its_own() -> None:
    from dsvc.model.errors import DsvcError

    script = runpy.run_path(str(SCRIPT))
    script["load_all_errors"]()
    names: dict[str, set[int]] = {}
    own = [cls for cls in script["subclasses"](DsvcError) if cls.__module__.startswith("dsvc.")]
    for cls in own:
        assert script["summary"](cls), f"{cls.__qualname__} has no docstring"
        names.setdefault(cls.code, set()).add(cls.exit_code)
    ambiguous = {name: codes for name, codes in names.items() if len(codes) > 1}
    assert not ambiguous, f"one name, several exit codes: {ambiguous}"
