"""Pipes that close, signals, pagers: the process ends cleanly and says nothing false."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def start(*arguments: str, cwd: Path, **more: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "dsvc", *arguments],
        cwd=cwd,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C.UTF-8"},
        **more,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["help", "diff"], ["config"]])
def test_a_closed_pipe_is_quiet(arguments: list[str], tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "dsvc", "init", "-q"], cwd=tmp_path, check=True)
    reading, writing = os.pipe()
    os.close(reading)
    process = start(*arguments, cwd=tmp_path, stdout=writing)
    os.close(writing)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 141
    assert err == b""


def test_a_full_disk_under_standard_output_is_an_error(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "wb") as full:
        process = start("help", cwd=tmp_path, stdout=full)
        _out, err = process.communicate(timeout=60)
    assert process.returncode == 33
    assert b"error: " in err
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("number", "code", "text"),
    [(signal.SIGINT, 130, b"interrupted"), (signal.SIGTERM, 143, b"signal"), (signal.SIGHUP, 129, b"signal")],
)
def test_signals_end_it_cleanly(number: signal.Signals, code: int, text: bytes, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "dsvc", "init", "-q"], cwd=tmp_path, check=True)
    # It waits for its message on standard input, where nobody writes.
    process = start("commit", "-F", "-", cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    time.sleep(1.0)
    assert process.poll() is None
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert out == b""
    assert text in err
    assert b"Traceback" not in err


def test_without_standard_streams_it_still_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        ["bash", "-c", '"$0" -m dsvc init >&- 2>&- <&-', sys.executable],
        cwd=tmp_path,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0
    assert (tmp_path / ".dsvc").is_dir()


def test_a_pager_gets_long_output_on_a_terminal_only(tmp_path: Path) -> None:
    if not os.path.exists("/usr/bin/script"):
        pytest.skip("script (util-linux) is not installed")
    run = f"{sys.executable} -m dsvc"
    subprocess.run(
        f"{run} init -q && {run} commit -q --allow-empty -m x", shell=True, cwd=tmp_path, check=True
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm",
        "DSVC_PAGER": "sed s/^/paged:/",
    }
    for arguments, paged in [
        ("log", True),
        ("--no-pager log", False),
        ("log --json", False),
        ("status", False),
    ]:
        done = subprocess.run(
            ["script", "-qec", f"{run} {arguments}", "/dev/null"],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        assert (b"paged:" in done.stdout) == paged, (arguments, done.stdout)


def test_leaving_the_pager_is_no_error(tmp_path: Path) -> None:
    if not os.path.exists("/usr/bin/script"):
        pytest.skip("script (util-linux) is not installed")
    run = f"{sys.executable} -m dsvc"
    subprocess.run(
        f"{run} init -q && {run} commit -q --allow-empty -m x", shell=True, cwd=tmp_path, check=True
    )
    done = subprocess.run(
        ["script", "-qec", f"{run} log", "/dev/null"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "DSVC_PAGER": "true"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert b"Traceback" not in done.stdout
