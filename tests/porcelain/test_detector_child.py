"""Detectors in child processes: whatever one does, only its own answer is lost; nothing passes by that."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable

import pytest

from dsvc.model.detection import Detection, DetectionStatus
from dsvc.model.errors import CorruptDataError
from dsvc.porcelain.policy.detection_cache import DetectionCache, Said, take_in
from dsvc.porcelain.policy.detector_child import Job, NoAnswer, run_jobs
from dsvc.testing.faults import tried


def clean(number: int) -> Detection:
    return Detection(
        detector="toy",
        version="1",
        config="",
        input=number.to_bytes(32, "big"),
        status=DetectionStatus.CLEAN,
        scanned_bytes=number,
    )


def crash() -> Detection:
    os.kill(os.getpid(), signal.SIGSEGV)
    raise AssertionError


def leave() -> Detection:
    os._exit(0)


def hang() -> Detection:
    time.sleep(600)
    raise AssertionError


def eat() -> Detection:
    return clean(len(bytearray(64 << 30)))


def fail() -> Detection:
    raise ZeroDivisionError("as it happens")


def damaged() -> Detection:
    raise CorruptDataError("stored bytes are wrong")


def liar() -> Detection:
    return Detection(
        detector="toy", version="1", config="", input=b"", status=DetectionStatus.CLEAN, counts={"x": 1}
    )


def kill_group() -> Detection:
    os.kill(0, signal.SIGKILL)
    raise AssertionError


@pytest.mark.parametrize(
    "bad", [crash, leave, hang, eat, fail, damaged, liar, kill_group], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("children", [1, 2])
def test_f42_only_the_answer_of_the_bad_one_is_lost(bad: object, children: int) -> None:
    jobs = [Job(0, lambda number=number: clean(number)) for number in range(7)]  # type: ignore[misc]
    jobs[3] = Job(0, bad)  # type: ignore[arg-type]
    answers = run_jobs(jobs, children=children, seconds=0.4)
    assert isinstance(answers[3], NoAnswer)
    assert answers[3].reason
    assert [each for n, each in enumerate(answers) if n != 3] == [clean(n) for n in range(7) if n != 3]
    tried("hostile cases")


@pytest.mark.parametrize("end", [crash, fail, hang], ids=lambda f: f.__name__)
def test_f42_what_a_detector_starts_goes_with_it(end: Callable[[], Detection]) -> None:
    """Its children have the end of a pipe that is at its end once all of them are gone."""
    read, write = os.pipe()

    def forks() -> Detection:
        for _ in range(3):
            if os.fork() == 0:
                time.sleep(600)
                os._exit(0)
        return end()

    answers = run_jobs([Job(0, forks), Job(0, lambda: clean(1))], children=1, seconds=0.4)
    os.close(write)
    assert isinstance(answers[0], NoAnswer)
    assert answers[1] == clean(1)
    ready, _, _ = select.select([read], [], [], 30)
    assert ready
    assert os.read(read, 1) == b""
    os.close(read)
    tried("hostile cases")


def test_f42_what_a_detector_prints_reaches_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output may be read by a program."""

    def prints() -> Detection:
        for stream in (1, 2):
            for _ in range(64):
                os.write(stream, b"x" * (1 << 20))
        with contextlib.suppress(OSError):
            assert os.read(0, 1) == b""
        return clean(7)

    assert run_jobs([Job(0, prints)]) == [clean(7)]
    assert capfd.readouterr() == ("", "")
    tried("hostile cases")


def test_f42_all_bad_ones_end() -> None:
    answers = run_jobs([Job(0, crash), Job(0, leave), Job(0, fail), Job(0, crash)], seconds=5)
    assert all(isinstance(each, NoAnswer) for each in answers)
    assert run_jobs([]) == []


def test_many_answers_come_in_order() -> None:
    jobs = [Job(0, lambda number=number: clean(number)) for number in range(3000)]  # type: ignore[misc]
    assert run_jobs(jobs) == [clean(number) for number in range(3000)]


def test_what_was_said_is_kept_for_that_detector_only(tmp_path: object) -> None:
    folder = str(tmp_path)
    hits = Detection(
        detector="toy",
        version="1",
        config="c",
        input=b"k" * 32,
        status=DetectionStatus.HITS,
        counts={"id": 2},
    )
    said = Said(set(), {})
    take_in(said, {b"a" * 36: clean(1), b"b" * 36: hits})
    cache = DetectionCache(folder, "toy", "1", "c")
    cache.save(said)
    assert cache.load() == Said({b"a" * 36}, {b"b" * 36: hits})
    assert DetectionCache(folder, "toy", "2", "c").load() == Said(set(), {})
    (file,) = os.scandir(os.path.join(folder, "detections"))
    with open(file.path, "rb") as stream:
        data = bytearray(stream.read())
    for at in range(len(data)):
        broken = data.copy()
        broken[at] ^= 1
        with open(file.path, "wb") as out:
            out.write(broken)
        assert cache.load() == Said(set(), {})
