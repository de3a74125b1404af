# SPDX-License-Identifier: GPL-3.0-or-later
"""What a waiter reports, and where nobody listens."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from ansible_collections.nested.clusters.plugins.module_utils.common import progress
from ansible_collections.nested.clusters.plugins.module_utils.common.batch import BatchJob, report_progress


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Where reports arrive."""
    monkeypatch.setattr(progress, "_reporter", progress._Reporter())
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    progress.send_to(writing)
    yield reading
    for descriptor in (reading, writing):
        os.close(descriptor)


def read(pipe: int) -> list[list[str]]:
    return [json.loads(line) for line in os.read(pipe, 65536).splitlines()]


def test_report_without_a_listener_does_nothing() -> None:
    progress.report("virtual cluster dev", "one")


def test_report_is_sent_when_its_subject_has_another_text(pipe: int) -> None:
    for subject, text in [("a", "1"), ("b", "1"), ("a", "1"), ("a", "2"), ("b", "1"), ("a", "1")]:
        progress.report(subject, text)
    assert read(pipe) == [["a", "1"], ["b", "1"], ["a", "2"], ["a", "1"]]


def test_report_shows_no_secret(pipe: int) -> None:
    values = {"swordfish"}
    progress.hide(values)
    values.add("trout")
    for text in ("swordfish", "a trout", "https://user:pike@host", "password=perch", "Bearer abcdefghijklmnop"):
        progress.report("x", text)
    texts = " ".join(text for _subject, text in read(pipe))
    for secret in ("swordfish", "trout", "pike", "perch", "abcdefgh"):
        assert secret not in texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one\ntwo\t three", "one two three"),
        ("\x1b]0;title\x07 \x9b31m", "]0;title 31m"),
        ("\u202eabc\u2028\ud800", "abc"),
        ("\u00fcmlaut \u4e2d", "\u00fcmlaut \u4e2d"),
        ("\U0001f600" * 301, "\U0001f600" * 297 + "..."),
    ],
)
def test_report_is_one_printable_line(pipe: int, text: str, expected: str) -> None:
    progress.report("x", text)
    assert read(pipe) == [["x", expected]]


def test_report_into_a_full_pipe_is_lost_and_never_waited_for(pipe: int) -> None:
    for number in range(10_000):
        progress.report("x", f"{number} {'y' * 200}")
    assert [line[1].split()[0] for line in read(pipe)][:2] == ["0", "1"]


def test_report_to_nobody_any_more_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "_reporter", progress._Reporter())
    reading, writing = os.pipe()
    progress.send_to(writing)
    os.close(reading)
    progress.report("x", "one")
    os.close(writing)


def test_progress_of_many_says_how_many_are_left_and_what_the_first_waits_for(pipe: int) -> None:
    new, waiting = BatchJob(), BatchJob(last="0 of 1 replicas ready")
    report_progress("host-a", [("a", new)], 2)
    report_progress("host-a", [("a", new), ("b", waiting)], 3)
    report_progress("host-a", [("b", waiting)], 1)
    assert read(pipe) == [
        ["host cluster host-a", "2 of 3 virtual clusters left; b: 0 of 1 replicas ready"],
        ["virtual cluster b", "0 of 1 replicas ready"],
    ]
