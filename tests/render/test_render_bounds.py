"""Reports of others and of crowds: refused where they make no sense, and shown in bounded time and space."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from reports import crowd, explained, still, two_faces
from rich.console import Console

from vidguard.errors import ReportFormatError
from vidguard.render.html import render_html
from vidguard.render.overlay import Painter
from vidguard.render.table import report_table
from vidguard.render.timeline import Axis, most_suspicious, time_axis
from vidguard.types import MAX_SECONDS, Finding, Interval, Report, SourceInfo

Change = Callable[[dict[str, Any]], object]


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def put(*path: str | int, value: Any) -> Change:
    """A change of one place in a report's JSON."""

    def change(plain: dict[str, Any]) -> None:
        place: Any = plain
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


CHANGES: dict[str, Change] = {
    "source lasts for ages": put("source", "duration_seconds", value=1e12),
    "source lasts less than nothing": put("source", "duration_seconds", value=-1.0),
    "source begins nowhere": put("source", "start_seconds", value=1e308),
    "frame rate of nothing": put("source", "frame_rate", value=0.0),
    "picture without a width": put("source", "width", value=0),
    "frames beyond counting": put("source", "num_frames_header", value=10**30),
    "box beyond any picture": put("tracks", 0, "observations", 0, "box_xyxy_px", value=[0.0, 0.0, 1e308, 1e308]),
    "landmark beyond any picture": put("tracks", 0, "observations", 0, "landmarks_px", 0, value=[1e12, 0.0]),
    "face of endless size": put("tracks", 0, "observations", 0, "quality", "face_px", value=1e308),
    "face turned round and round": put("tracks", 0, "observations", 0, "quality", "yaw_degrees", value=1e9),
    "observations out of order": put("tracks", 0, "observations", 0, "time", value=7.0),
    "two tracks of one id": put("tracks", 1, "id", value=1),
    "track of a negative id": put("tracks", 0, "id", value=-1),
    "finding of an unknown track": put("findings", 0, "track_id", value=99),
    "peak far away": put("findings", 0, "peak_time", value=1e12),
    "thumbnail of an unknown track": put("thumbnails", 0, "track_id", value=99),
    "explanation of an unknown track": put("explanations", 0, "track_id", value=99),
    "share of more than all": put("explanations", 0, "regions", "mouth", value=7.0),
    "coverage without end": put("coverage", "seconds", value=1e300),
    "settings in one another": put("settings", "limits", value=nested(50)),
    "settings of endless digits": put("settings", "limits", value=10**400),
    "threshold that nothing reaches": put("weights", "threshold", value=1e9),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_report_that_makes_no_sense_is_refused(name: str) -> None:
    plain = json.loads(explained().to_json())
    CHANGES[name](plain)
    with pytest.raises(ReportFormatError):
        Report.from_json(json.dumps(plain))


@pytest.mark.parametrize("text", ["[" * 100_000, "NaN", "", "\ud800", b"\xff\xfe", '{"status": 1e999}'])
def test_text_that_is_no_report_is_refused(text: str | bytes) -> None:
    with pytest.raises(ReportFormatError):
        Report.from_json(text)


def test_numbers_that_are_none_are_refused_wherever_they_stand() -> None:
    text = two_faces().to_json(indent=None)
    for before in ('"start":', '"time":', '"duration_seconds":', '"seconds":', '"frames_per_second":'):
        place = text.index(before) + len(before)
        for number in ("NaN", "Infinity", "-Infinity", "1e999"):
            after = text[place:].lstrip("0123456789.")
            with pytest.raises(ReportFormatError):
                Report.from_json(text[:place] + number + after)


@pytest.mark.parametrize("seconds", [1e-3, 0.3, 7.0, 3600.0, 9e4, 1e6, MAX_SECONDS])
@pytest.mark.parametrize("start", [-MAX_SECONDS, 0.0, 1.7e9])
def test_an_axis_has_a_few_ticks_however_long_it_is(seconds: float, start: float) -> None:
    ticks = Axis(Interval(start, min(start + seconds, MAX_SECONDS))).ticks()
    assert len(ticks) <= 9
    assert all(0 <= tick.x <= 1000 for tick in ticks)


def test_the_longest_report_there_can_be_is_shown() -> None:
    base = two_faces()
    report = replace(base, source=replace(base.source, duration_seconds=MAX_SECONDS, start_seconds=MAX_SECONDS))
    assert time_axis(report).domain.end == MAX_SECONDS
    assert len(render_html(report)) < 2_000_000
    Console(quiet=True).print(report_table(report))


def many(count: int) -> Report:
    """A crowd in which every face is seen for a second, told apart by how suspicious it is."""
    first = crowd(1, seconds=1.0)
    track = first.tracks[0]
    tracks = tuple(replace(track, id=i, fake_prob=0.5 * i / count) for i in range(count))
    findings = (Finding(0.0, 1.0, 3, 0.9, 0.5, 0.99),)
    segments = tuple(replace(s, track_id=i) for i in range(count) for s in first.segments)
    return replace(first, tracks=tracks, segments=segments, findings=findings, thumbnails=())


def test_of_thousands_of_faces_the_most_suspicious_are_shown_and_the_rest_counted() -> None:
    report = many(3000)
    began = time.process_time()
    console = Console(record=True, width=120, quiet=True)
    console.print(report_table(report))
    page = render_html(report)
    painter = Painter(report)
    height, width = report.source.height or 0, report.source.width or 0
    shown = painter.paint(np.zeros((height, width, 3), np.uint8), 0.5)
    assert time.process_time() - began < 10  # 20 s for the table alone, when every face looked at every segment
    assert page.count('class="lane"') == 100
    assert "2900 more faces" in page
    assert height < shown.shape[0] < height * 2
    assert [t.id for t in most_suspicious(report, 3)] == [3, 2998, 2999]
    text = Console(width=120, force_terminal=False)
    with text.capture() as captured:
        text.print(report_table(report))
    assert "2,968 more faces" in captured.get()
    assert len(re.findall(r"^face \d+", captured.get(), re.MULTILINE)) == 32


def test_all_faces_of_a_small_crowd_are_shown() -> None:
    assert most_suspicious(crowd(5), 5) == crowd(5).tracks
    assert "more faces" not in render_html(still())


def test_a_source_refuses_numbers_that_cannot_be() -> None:
    for wrong in ({"start_seconds": float("nan")}, {"duration_seconds": float("inf")}, {"width": -1}):
        with pytest.raises(ValueError, match="1 validation error"):
            SourceInfo(kind="video", name="x", **wrong)
