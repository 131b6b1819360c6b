"""People see times from the start of the file; the JSON keeps the container's own."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from reports import two_faces
from rich.console import Console

from vidguard.render.html import render_html
from vidguard.render.start import from_start
from vidguard.render.table import report_table
from vidguard.render.view import build_view
from vidguard.types import Report


def late(origin: float) -> Report:
    """The report of the same clip in a container whose clock stands at origin at the start."""
    early = two_faces()
    moved = from_start(replace(early, source=replace(early.source, origin_seconds=-origin)))
    return replace(moved, source=replace(moved.source, origin_seconds=origin))


def text(report: Report) -> str:
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(report_table(report))
    return console.export_text()


@pytest.mark.parametrize("origin", [3600.0, 80_001.0, -2.0])
def test_what_people_see_does_not_depend_on_the_containers_clock(origin: float) -> None:
    report = late(origin)
    assert report.tracks[0].start == pytest.approx(two_faces().tracks[0].start + origin)
    assert text(report) == text(two_faces())
    view, plain = build_view(report), build_view(two_faces())
    assert view.axis.ticks() == plain.axis.ticks()
    assert [face.lane for face in view.faces] == [face.lane for face in plain.faces]
    assert [face["segments"] for face in view.data["faces"]] == [face["segments"] for face in plain.data["faces"]]
    assert [e.finding.peak_time for e in view.evidence] == pytest.approx([e.finding.peak_time for e in plain.evidence])
    assert "80001" not in render_html(report).split("<script", 1)[0]


def test_a_report_that_starts_at_zero_is_itself() -> None:
    report = two_faces()
    assert from_start(report) is report
