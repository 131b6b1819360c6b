"""Realistic reports made by hand, with real JPEG thumbnails."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import pairwise

import cv2
from skimage import data

from vidguard.types import (
    Coverage,
    Decision,
    EngineInfo,
    Explanation,
    Finding,
    Interval,
    Label,
    Observation,
    Quality,
    Report,
    Segment,
    SourceInfo,
    Status,
    Thumbnail,
    Track,
    WeightsInfo,
)

SOURCE = SourceInfo(
    kind="video", name="interview.mp4", container="mp4", codec="h264", pixel_format="yuv420p", width=1280, height=720,
    frame_rate=25.0, duration_seconds=20.0, num_frames_header=500, size_bytes=4_812_331, sha256="3f" * 32,
    color_matrix="bt709", color_range="tv",
)  # fmt: skip
WEIGHTS = WeightsInfo(
    name="base-v1",
    sha256="ab" * 32,
    encoders=("mesoinception4", "amtennet"),
    threshold=0.62,
    segment_threshold=0.7,
    threshold_note="chosen for 5% false positives on 1,500 pristine validation clips",
)
ENGINE = EngineInfo(
    vidguard="0.1.0", python="3.11.7", torch="2.9.0", av="18.1.0", device="cpu", reader="pyav",
    notes=("NVDEC has no decoder for h264 4:2:2: software was used",),
)  # fmt: skip
SETTINGS = {"frames_per_second": 8.0, "segment_seconds": 1.0, "limits": {"max_bytes": 8 * 1024**3}}


@cache
def face_jpeg(shade: int) -> bytes:
    """A real 112 px JPEG of the astronaut's face, darkened a little by ``shade`` so that each differs."""
    face = cv2.resize(data.astronaut()[20:240, 110:330], (112, 112), interpolation=cv2.INTER_AREA)
    ok, jpeg = cv2.imencode(".jpg", cv2.cvtColor(cv2.subtract(face, shade), cv2.COLOR_RGB2BGR))
    assert ok
    return jpeg.tobytes()


def observation(time: float, prob: float | None, *, box: tuple[float, float, float, float]) -> Observation:
    x0, y0, x1, y1 = box
    px, py = (x0 + x1) / 2, (y0 + y1) / 2
    landmarks = ((px - 9, py - 9), (px + 9, py - 9), (px, py), (px - 7, py + 9), (px + 7, py + 9))
    size = math.sqrt((x1 - x0) * (y1 - y0))
    quality = Quality(face_px=size, sharpness=21.5, yaw_degrees=-8.0, roll_degrees=2.0)
    return Observation(time, box, landmarks, 0.998, quality, prob)


def make_track(
    track_id: int, spans: list[tuple[float, float]], prob_at, *, fps: float = 8.0, left: float = 100.0
) -> tuple[Track, list[Segment]]:
    """A face that drifts right by 5 px a second; ``prob_at(t)`` may be None."""
    seen, segments = [], []
    for start, end in spans:
        times = [start + i / fps for i in range(max(1, math.ceil((end - start) * fps)))]
        frames = [observation(t, prob_at(t), box=(left + 5 * t, 80, left + 5 * t + 120, 230)) for t in times]
        seen += frames
        cuts = [start, *(float(s) for s in range(math.floor(start) + 1, math.ceil(end))), end]
        for a, b in pairwise(cuts):
            judged = [o.fake_prob for o in frames if a <= o.time < b and o.fake_prob is not None]
            mean = sum(judged) / len(judged) if judged else None
            segments.append(Segment(a, b, track_id, mean, len(judged)))
    known = [s.fake_prob for s in segments if s.fake_prob is not None]
    status, prob = (Status.OK, max(known)) if known else (Status.TOO_SHORT, None)
    return Track(track_id, tuple(Interval(*s) for s in spans), tuple(seen), status, prob), segments


def thumbnails(segments: list[Segment], limit: int = 600) -> tuple[Thumbnail, ...]:
    return tuple(
        Thumbnail(s.track_id, (s.start + s.end) / 2, face_jpeg((7 * i + 23 * s.track_id) % 60))
        for i, s in enumerate(segments[:limit])
    )


def two_faces(*, name: str = "interview.mp4", flagged: bool = True) -> Report:
    """Twenty seconds, three faces: 1 pristine with a gap, 2 forged from 8 to 13 s (if flagged), 3 never judged."""
    one, segs1 = make_track(1, [(0.0, 7.4), (11.0, 20.0)], lambda t: 0.12 + 0.08 * math.sin(3 * t))
    high = 0.9 if flagged else 0.3

    def second(t: float) -> float | None:
        return None if 5 <= t < 6 else (high + 0.07 * math.sin(5 * t) if 8 <= t < 13 else 0.22 + 0.1 * math.sin(2 * t))

    two, segs2 = make_track(2, [(2.0, 18.0)], second, left=700)
    three, segs3 = make_track(3, [(15.2, 15.9)], lambda t: None, left=400)
    segments = [*segs1, *segs2, *segs3]
    findings = (Finding(8.0, 13.0, 2, 0.9, 10.4, 0.97),) if flagged else ()
    prob = 0.93 if flagged else 0.31
    explanation = "judged 2 of 3 face(s) that were followed"
    source = SourceInfo(**{**{f: getattr(SOURCE, f) for f in SOURCE.__dataclass_fields__}, "name": name})
    return Report(
        Status.OK, prob, explanation, source, Coverage(500, 160, 20.0, 19.5, 18.4), WEIGHTS, ENGINE, SETTINGS,
        (one, two, three), tuple(segments), findings, thumbnails(segments),
    )  # fmt: skip


def explained(name: str = "efficientnet_lite0") -> Report:
    """Two faces, and why the finding was made."""
    members, regions = {name: 2.4, "amtennet": -0.3, "none": 0.0}, {"mouth": 0.6, "eyes": 0.37, "nose": 0.03}
    return replace(two_faces(), explanations=(Explanation(2, 10.25, members, regions, face_jpeg(3)),))


def decided(label: Label) -> Report:
    """Two faces with a decision."""
    report = two_faces(flagged=label == "manipulated")
    tracks = tuple(t if t.fake_prob is None else replace(t, decision=label) for t in report.tracks)
    return replace(report, tracks=tracks, decision=Decision(label, 0.05, 0.12345, report.weights.threshold))


def no_face() -> Report:
    return Report(
        Status.NO_FACE, None, "No face was found in 160 analysed frames; faces below 40 px are not looked for.",
        SOURCE, Coverage(500, 160, 20.0, 0.0, 0.0), WEIGHTS, ENGINE, SETTINGS,
    )  # fmt: skip


def still(prob: float = 0.88) -> Report:
    source = SourceInfo(kind="image", name="portrait.jpg", container="jpeg", width=512, height=512)
    tracks, segments = [], []
    for track_id, left, value in ((1, 60.0, prob), (2, 300.0, 0.2)):
        track, segs = make_track(track_id, [(0.0, 0.125)], lambda t, value=value: value, left=left)
        tracks.append(track)
        segments += segs
    return Report(
        Status.OK, prob, "judged 2 of 2 face(s); one frame, judged alone",
        source, Coverage(1, 1, 0.125, 0.125, 0.125), WEIGHTS, ENGINE,
        SETTINGS, tuple(tracks), tuple(segments), (Finding(0.0, 0.125, 1, prob, 0.0, prob),), thumbnails(segments),
    )  # fmt: skip


def crowd(num_faces: int = 32, seconds: float = 60.0, fps: float = 8.0) -> Report:
    """Many faces, or few for very long."""
    tracks, segments, findings = [], [], []
    for i in range(num_faces):
        begin = seconds * i / (2 * num_faces)
        track, segs = make_track(
            i + 1,
            [(begin, seconds)],
            lambda t, i=i: 0.5 + 0.49 * math.sin(t * 6 / seconds + i),
            fps=fps,
            left=20 + 30 * i,
        )
        tracks.append(track)
        segments += segs
        loud = [s for s in segs if s.fake_prob is not None and s.fake_prob > 0.9]
        if loud:
            findings.append(Finding(loud[0].start, loud[0].end, i + 1, 0.93, loud[0].start, 0.95))
    source = SourceInfo(kind="video", name="crowd.mkv", width=1920, height=1080, duration_seconds=seconds)
    return Report(
        Status.PARTIAL, 0.97, "judged the part that could be read; the file broke off", source,
        Coverage(1500, 480, seconds, seconds, seconds), WEIGHTS, ENGINE, SETTINGS,
        tuple(tracks), tuple(segments), tuple(findings), thumbnails(segments[:: max(1, len(segments) // 600)]),
    )  # fmt: skip
