"""What the HTML page shows, worked out from a Report: plain values, no markup."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Final

from vidguard.render.start import from_start
from vidguard.render.timeline import (
    Axis,
    Lane,
    by_track,
    containing,
    curve_runs,
    draw_lane,
    mean_face_px,
    most_suspicious,
    observations_in,
    time_axis,
)
from vidguard.render.words import clock, percent
from vidguard.types import Explanation, Finding, Report, Segment, Thumbnail, Track

MAX_FACES: Final = 100
"""Faces shown, the most suspicious; the rest are in the JSON."""
MAX_EVIDENCE: Final = 24
"""Findings shown with pictures, most suspicious first; the rest are in the timeline and the JSON."""
PICTURES_PER_FINDING: Final = 4
LEAST_SHARE: Final = 0.05
"""Of the evidence, for a part of the face to be named."""


@dataclass(frozen=True)
class Face:
    """One row of the face table and one lane of the timeline."""

    track: Track
    picture: str | None
    """data: address of a JPEG, or None."""
    seconds: float
    face_px: float
    sharpness: float
    yaw_degrees: float
    """Mean over the frames of the turn to either side, unsigned."""
    lane: Lane
    moments: int
    """Number of segments, the steps of the keyboard."""


@dataclass(frozen=True)
class Picture:
    """A thumbnail and what was found there."""

    time: float
    address: str
    fake_prob: float | None


@dataclass(frozen=True)
class Reasons:
    """Why one frame looks forged, in words and as a marked picture."""

    time: float
    address: str
    regions: tuple[tuple[str, float], ...]
    """Parts of the face with their share of the evidence, largest first; the least are left out."""
    speaking_for: tuple[str, ...]
    """Encoders that took the frame for forged, the strongest first."""
    speaking_against: tuple[str, ...]


@dataclass(frozen=True)
class Evidence:
    """A finding with its pictures, most suspicious first, and the reasons where the report has them."""

    finding: Finding
    pictures: tuple[Picture, ...]
    reasons: Reasons | None


@dataclass(frozen=True)
class View:
    """Everything the template needs besides the report itself."""

    axis: Axis
    faces: tuple[Face, ...]
    hidden_faces: int
    evidence: tuple[Evidence, ...]
    hidden_findings: int
    data: dict[str, Any]
    """What the page's script needs, JSON-ready."""
    facts: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]
    """Titled groups of (name, value)."""


def build_view(report: Report) -> View:
    """Work out the whole page once."""
    facts, report = _facts(report), from_start(report)
    axis = time_axis(report)
    segments = by_track(report, report.segments)
    explanations = by_track(report, report.explanations)
    findings = by_track(report, report.findings)
    pictures = by_track(report, sorted(report.thumbnails, key=lambda t: t.time))
    tracks = most_suspicious(report, MAX_FACES)
    faces = tuple(_face(axis, track, segments[track.id], findings[track.id], pictures[track.id]) for track in tracks)
    ranked = sorted(report.findings, key=lambda f: -f.peak_fake_prob)
    return View(
        axis=axis,
        faces=faces,
        hidden_faces=len(report.tracks) - len(tracks),
        evidence=tuple(
            _evidence(f, segments[f.track_id], pictures[f.track_id], explanations[f.track_id])
            for f in ranked[:MAX_EVIDENCE]
        ),
        hidden_findings=max(0, len(ranked) - MAX_EVIDENCE),
        data={
            "start": axis.domain.start,
            "end": axis.domain.end,
            "faces": [_face_data(track, segments[track.id], pictures[track.id]) for track in tracks],
        },
        facts=facts,
    )


def jpeg_address(jpeg: bytes) -> str:
    """A data: address a page can show."""
    return "data:image/jpeg;base64," + b64encode(jpeg).decode()


def _face(
    axis: Axis, track: Track, segments: list[Segment], findings: list[Finding], pictures: list[Thumbnail]
) -> Face:
    quality = [o.quality for o in track.observations]
    # The portrait is the moment nearest the most suspicious segment: what an analyst wants to see first.
    worst = max(segments, key=lambda s: -1.0 if s.fake_prob is None else s.fake_prob)
    middle = (worst.start + worst.end) / 2
    best = min(pictures, key=lambda p: abs(p.time - middle), default=None)
    return Face(
        track=track,
        picture=None if best is None else jpeg_address(best.jpeg),
        seconds=sum(span.seconds for span in track.spans),
        face_px=fmean(q.face_px for q in quality),
        sharpness=fmean(q.sharpness for q in quality),
        yaw_degrees=fmean(abs(q.yaw_degrees) for q in quality),
        lane=draw_lane(axis, track, segments, findings),
        moments=len(segments),
    )


def _evidence(
    finding: Finding, segments: list[Segment], pictures: list[Thumbnail], explanations: list[Explanation]
) -> Evidence:
    inside = [
        Picture(p.time, jpeg_address(p.jpeg), _prob_at(segments, p.time))
        for p in pictures
        if finding.start <= p.time < finding.end
    ]
    inside.sort(key=lambda p: (-(p.fake_prob or 0.0), p.time))
    explained = next((e for e in explanations if finding.start <= e.time < finding.end), None)
    reasons = None if explained is None else _reasons(explained)
    return Evidence(finding, tuple(inside[:PICTURES_PER_FINDING]), reasons)


def _reasons(explained: Explanation) -> Reasons:
    ranked = sorted(explained.members.items(), key=lambda item: -abs(item[1]))
    return Reasons(
        time=explained.time,
        address=jpeg_address(explained.jpeg),
        regions=tuple(item for item in explained.regions.items() if item[1] >= LEAST_SHARE),
        speaking_for=tuple(name for name, added in ranked if added > 0),
        speaking_against=tuple(name for name, added in ranked if added < 0),
    )


def _prob_at(segments: list[Segment], time: float) -> float | None:
    segment = containing(segments, time)
    return None if segment is None else segment.fake_prob


def _face_data(track: Track, segments: list[Segment], pictures: list[Thumbnail]) -> dict[str, Any]:
    return {
        "id": track.id,
        "segments": [
            [
                round(s.start, 3),
                round(s.end, 3),
                None if s.fake_prob is None else round(s.fake_prob, 4),
                s.num_frames,
                mean_face_px(observations_in(track, s)),
            ]
            for s in segments
        ],
        "curve": [[round(time, 3), round(prob, 3)] for run in curve_runs(track) for time, prob in run],
        "pictures": [[round(p.time, 3), b64encode(p.jpeg).decode()] for p in pictures],
    }


def _facts(report: Report) -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    return (
        ("Source", _source_facts(report)),
        ("Coverage", _coverage_facts(report)),
        ("Weights", _weights_facts(report)),
        ("Engine", _engine_facts(report)),
        ("Settings", tuple(_flatten(report.settings))),
    )


def _source_facts(report: Report) -> tuple[tuple[str, str], ...]:
    source = report.source
    size = None if source.width is None else f"{source.width} × {source.height} px"
    rows: list[tuple[str, str | None]] = [
        ("Name", source.name),
        ("Kind", source.kind),
        ("Picture", size),
        ("Container, codec", ", ".join(filter(None, (source.container, source.codec, source.pixel_format))) or None),
        ("Duration", None if source.duration_seconds is None else clock(source.duration_seconds)),
        (
            "Sizes",
            ", ".join(f"{s.width} × {s.height} from {clock(s.start - source.origin_seconds)}" for s in source.sizes)
            or None,
        ),
        ("First frame at", clock(delay) if (delay := source.start_seconds - source.origin_seconds) else None),
        ("Container's clock at the start", clock(source.origin_seconds) if source.origin_seconds else None),
        ("Frame rate", None if source.frame_rate is None else f"{source.frame_rate:.6g} frames/s"),
        ("Rotation", f"{source.rotation_degrees}°" if source.rotation_degrees else None),
        ("Colour", ", ".join(filter(None, (source.color_matrix, source.color_range, source.color_transfer))) or None),
        ("Interlaced", "yes" if source.interlaced else None),
        (
            "Video streams",
            f"{source.num_video_streams}, number {source.stream_index} analysed"
            if source.num_video_streams > 1
            else None,
        ),
        ("Size", None if source.size_bytes is None else f"{source.size_bytes:,} bytes"),
        ("SHA-256", source.sha256),
    ]
    return tuple((name, value) for name, value in rows if value is not None)


def _coverage_facts(report: Report) -> tuple[tuple[str, str], ...]:
    seen = report.coverage
    frames = (("Frames decoded", f"{seen.num_frames_decoded:,}"), ("Frames analysed", f"{seen.num_frames_analysed:,}"))
    if report.source.kind == "image":
        return frames
    return (
        *frames,
        ("Time covered", f"{seen.seconds:.1f} s"),
        ("… with a face", f"{seen.seconds_with_face:.1f} s"),
        ("… judged", f"{seen.seconds_judged:.1f} s"),
    )


def _weights_facts(report: Report) -> tuple[tuple[str, str], ...]:
    weights = report.weights
    return (
        ("Name", weights.name),
        ("Encoders", ", ".join(weights.encoders)),
        ("Segment threshold", percent(weights.segment_threshold)),
        ("A finding begins at", percent(weights.finding_from)),
        ("Threshold", f"{percent(weights.threshold)}: {weights.threshold_note}"),
        ("SHA-256", weights.sha256),
    )


def _engine_facts(report: Report) -> tuple[tuple[str, str], ...]:
    engine = report.engine
    return (
        ("vidguard", engine.vidguard),
        ("Device", engine.device),
        ("Reader", engine.reader),
        ("Python, torch, PyAV", f"{engine.python}, {engine.torch}, {engine.av}"),
        ("Report schema", str(report.schema_version)),
    )


def _flatten(settings: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for name, value in settings.items():
        if isinstance(value, dict):
            rows += _flatten(value, f"{prefix}{name}.")
        else:
            rows.append((prefix + name, value if isinstance(value, str) else json.dumps(value)))
    return rows
