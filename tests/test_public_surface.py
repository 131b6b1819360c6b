"""What `import vidguard` offers: every noun of a report by name, and reports that show themselves well."""

from __future__ import annotations

import dataclasses
import html
import json
import math
import re
import typing
from pathlib import Path

import pytest
from reports import still, two_faces

import vidguard


def nouns(kind: type, known: set[type]) -> set[type]:
    """The dataclasses that a dataclass holds, and those hold."""
    known.add(kind)
    todo = [hint for hint in typing.get_type_hints(kind, include_extras=True).values()]
    while todo:
        hint = todo.pop()
        todo += typing.get_args(hint)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type) and hint not in known:
            nouns(hint, known)
    return known


def test_every_noun_that_a_report_holds_is_exported() -> None:
    names = {noun.__name__ for noun in nouns(vidguard.Report, set())}
    assert {"Report", "Track", "Observation", "Quality", "Segment", "Finding", "Explanation", "Decision"} <= names
    assert names <= set(vidguard.__all__)
    for name in vidguard.__all__:
        assert getattr(vidguard, name) is not None


def test_types_are_shipped_with_the_package() -> None:
    assert (Path(vidguard.__file__).parent / "py.typed").is_file()


def test_a_reports_repr_is_one_line_that_says_what_it_says() -> None:
    report = two_faces()
    assert repr(report) == (
        f"<Report: {report.source.name}, {report.status.value}, fake_prob={report.fake_prob:g}, "
        f"{'' if report.decision is None else report.decision.label + ', '}{len(report.tracks)} tracks, "
        f"{len(report.segments)} segments, {len(report.findings)} findings>".replace("1 findings", "1 finding")
    )
    hostile = dataclasses.replace(report, source=dataclasses.replace(report.source, name="a\x1b[2J\nb.mp4"))
    assert repr(hostile).isprintable()


def test_a_report_as_plain_values_is_its_json() -> None:
    report = two_faces()
    assert report.to_dict() == json.loads(report.to_json())


def test_a_reports_segments_make_a_table() -> None:
    pytest.importorskip("pandas")
    report = two_faces()
    table = report.to_pandas()
    assert list(table.columns) == ["track_id", "start", "end", "fake_prob", "num_frames", "decision"]
    assert len(table) == len(report.segments)
    for row, segment in zip(table.itertuples(index=False), report.segments):
        assert (row.track_id, row.start, row.end, row.num_frames) == (
            segment.track_id,
            segment.start,
            segment.end,
            segment.num_frames,
        )
        assert row.fake_prob == segment.fake_prob or (segment.fake_prob is None and math.isnan(row.fake_prob))


def test_a_notebook_shows_the_page_in_a_frame_of_its_own(tmp_path: Path) -> None:
    report = still()
    report.save_html(tmp_path / "page.html")
    frame = re.fullmatch(
        r'<iframe sandbox="allow-scripts" srcdoc="([^"]*)" style="[^"]*"></iframe>', report._repr_html_()
    )
    assert frame is not None
    assert html.unescape(frame.group(1)) == (tmp_path / "page.html").read_text()
