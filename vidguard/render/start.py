"""Times as people see them: counted from the start of the file, as players do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vidguard.types import Report, Track


def from_start(report: Report) -> Report:
    """The same report by a clock that stands at zero at the start of the file, not by the container's own."""
    origin = report.source.origin_seconds
    if origin == 0:
        return report

    def moved(item: Any, *names: str) -> Any:
        return replace(item, **{name: getattr(item, name) - origin for name in names})

    def moved_track(track: Track) -> Track:
        spans = tuple(moved(span, "start", "end") for span in track.spans)
        return replace(track, spans=spans, observations=tuple(moved(o, "time") for o in track.observations))

    return replace(
        report,
        source=replace(
            moved(report.source, "start_seconds"),
            origin_seconds=0.0,
            sizes=tuple(moved(size, "start") for size in report.source.sizes),
        ),
        tracks=tuple(moved_track(track) for track in report.tracks),
        segments=tuple(moved(segment, "start", "end") for segment in report.segments),
        findings=tuple(moved(finding, "start", "end", "peak_time") for finding in report.findings),
        thumbnails=tuple(moved(thumbnail, "time") for thumbnail in report.thumbnails),
        explanations=tuple(moved(explanation, "time") for explanation in report.explanations),
    )
