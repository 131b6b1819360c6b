"""A Report in a terminal: Rich renderables. Nothing from a report is read as Rich markup or terminal control."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text

from vidguard.render.scale import rgb
from vidguard.render.start import from_start
from vidguard.render.timeline import Axis, by_track, most_suspicious, time_axis
from vidguard.render.words import clock, decision_words, kind_words, percent, track_words, verdict
from vidguard.text import printable
from vidguard.types import Finding, Interval, Report, Segment, Track

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_UNJUDGED: Final = "?"
_COLUMNS: Final = 60
MAX_FACES: Final = 32
"""Faces shown, the most suspicious; the rest are counted."""
_TONES: Final = {"flagged": "bold red", "undecided": "bold yellow", "clear": "bold blue", "none": "bold yellow"}


def report_table(report: Report) -> RenderableType:
    """One file's answer: a headline, its reason, a row per face, what to know about the run."""
    report = from_start(report)
    answer = verdict(report)
    head = Text(printable(report.source.name), style="bold")
    head.append("  ")
    head.append(answer.headline, style=_TONES[answer.tone])
    if report.fake_prob is not None:
        head.append(f"  P(fake) {percent(report.fake_prob)}", style=_style(report.fake_prob))
        head.append(f"  threshold {percent(report.weights.threshold)}", style="dim")
        if not report.weights.calibrated:
            head.append("  not calibrated", style="bold yellow")
    parts: list[RenderableType] = [head, Text(printable(answer.detail))]
    if (decision := decision_words(report)) is not None:
        parts.append(Text(f"decision: {printable(decision)}"))
    if report.tracks:
        parts.append(_face_table(report))
    if report.tracks and report.source.kind != "image":
        parts.append(timeline_text(report))
    if (hidden := len(report.tracks) - MAX_FACES) > 0:
        parts.append(Text(f"{hidden:,} more faces, none of them more suspicious, are in the JSON report", style="dim"))
    parts += [Text(f"note: {printable(note)}", style="dim") for note in report.engine.notes]
    return Group(*parts)


def timeline_text(report: Report, truth: Sequence[Interval] | None = None) -> Text:
    """A strip per face: block height and colour are the probability, a space is "not visible", ``?`` "not judged".

    truth: the stretches known to be fake, for a row of their own above the faces; counted from the start of the file.
    """
    report = from_start(report)
    axis = time_axis(report)
    text = Text(no_wrap=True)
    if truth is not None:
        text.append(_label("truth"))
        text.append("".join("█" if _covers(truth, cell) else "·" for cell in _cells(axis)), style="bold")
        text.append("\n")
    segments = by_track(report, report.segments)
    for track in most_suspicious(report, MAX_FACES):
        text.append(_label(f"face {track.id}", percent(track.fake_prob)))
        for cell in _cells(axis):
            text.append(*_block(segments[track.id], cell))
        text.append("\n")
    text.append(_label(""))
    start, end = clock(axis.domain.start), clock(axis.domain.end)
    text.append(start + end.rjust(_COLUMNS - len(start)), style="dim")
    return text


def _face_table(report: Report) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    still = report.source.kind == "image"
    table.add_column("face", justify="right")
    if not still:
        table.add_column("seen")
        table.add_column("visible", justify="right")
    table.add_column("P(fake)", justify="right")
    decided = report.decision is not None
    if decided:
        table.add_column("decision")
    told = any(track.kind for track in report.tracks)
    if told:
        table.add_column("kind")
    table.add_column("status" if still else "suspicious")
    findings = by_track(report, report.findings)
    for track in most_suspicious(report, MAX_FACES):
        times = [] if still else [f"{clock(track.start)}–{clock(track.end)}", f"{_visible(track):.1f} s"]
        table.add_row(
            str(track.id),
            *times,
            Text(percent(track.fake_prob), style=_style(track.fake_prob)),
            *([track.decision or "–"] if decided else []),
            *([kind_words(track.kind)] if told else []),
            track_words(track.status) if still or track.fake_prob is None else _stretches(findings[track.id]),
        )
    return table


def _stretches(findings: Sequence[Finding], limit: int = 4) -> str:
    shown = [f"{clock(f.start)}–{clock(f.end)}" for f in findings[:limit]]
    more = [f"and {len(findings) - limit} more"] if len(findings) > limit else []
    return ", ".join(shown + more)


def _visible(track: Track) -> float:
    return sum(span.seconds for span in track.spans)


def _cells(axis: Axis) -> list[Interval]:
    width = axis.domain.seconds / _COLUMNS
    edges = [axis.domain.start + i * width for i in range(_COLUMNS + 1)]
    return [Interval(a, b) for a, b in pairwise(edges)]


def _block(segments: Sequence[Segment], cell: Interval) -> tuple[str, Style | None]:
    """A cell shows the most suspicious of the segments it touches, so that a short one is never hidden."""
    touched = [s for s in segments if s.start < cell.end and cell.start < s.end]
    if not touched:
        return " ", None
    judged = [s.fake_prob for s in touched if s.fake_prob is not None]
    if not judged:
        return _UNJUDGED, _style(None)
    prob = max(judged)
    return _BLOCKS[min(int(prob * len(_BLOCKS)), len(_BLOCKS) - 1)], _style(prob)


def _covers(truth: Sequence[Interval], cell: Interval) -> bool:
    middle = (cell.start + cell.end) / 2
    return any(t.start <= middle < t.end for t in truth)


def _label(name: str, value: str = "") -> str:
    return f"{name:<9}{value:>5}  "


def _style(fake_prob: float | None) -> Style:
    red, green, blue = rgb(fake_prob)
    return Style(color=f"rgb({red},{green},{blue})")
