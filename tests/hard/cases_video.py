"""Pictures that change on the way, clocks that don't start at zero or stumble, crops and cameras' side data."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from case import HardCase, Rgb, portraits
from media import encode, to_frame
from PIL import Image

from vidguard.detector.triage import Outcome, Triage
from vidguard.types import Report, Segment, Status

_LENGTH = 20  # frames, at 10 a second


def _face(width: int, height: int, *, forged: bool = True) -> Rgb:
    """A portrait on grey: as large as the shorter side."""
    side = min(width, height)
    picture = np.full((height, width, 3), 110, np.uint8)
    top, left = (height - side) // 2, (width - side) // 2
    picture[top : top + side, left : left + side] = Image.fromarray(portraits()[forged]).resize((side, side))
    return picture


def _joined(folder: Path, parts: Sequence[Sequence[Rgb]]) -> Path:
    """VP8 at 10 frames a second, of a size that changes from part to part."""
    path = folder / "call.webm"
    with av.open(str(path), "w", format="webm") as target:
        stream = target.add_stream("libvpx", rate=10)
        stream.height, stream.width = parts[0][0].shape[:2]
        stream.pix_fmt = "yuv420p"
        target.start_encoding()
        index = 0
        for pictures in parts:
            encoder = av.CodecContext.create("libvpx", "w")
            encoder.height, encoder.width = pictures[0].shape[:2]
            encoder.pix_fmt, encoder.time_base = "yuv420p", Fraction(1, 10)
            encoder.options = {"g": "5", "crf": "8", "b": "0", "deadline": "realtime", "cpu-used": "8"}
            frames = [to_frame(picture, "yuv420p") for picture in pictures]
            for number, frame in enumerate(frames):
                frame.pts, frame.time_base = number, encoder.time_base
            for data in [bytes(p) for frame in [*frames, None] for p in encoder.encode(frame)]:
                packet = av.Packet(data)
                packet.stream, packet.time_base = stream, Fraction(1, 10)
                packet.pts = packet.dts = index
                packet.duration, packet.is_keyframe = 1, index % 5 == 0
                target.mux(packet)
                index += 1
    return path


def _ramp(folder: Path) -> Path:
    return _joined(folder, [[_face(160, 90)] * 10, [_face(640, 360)] * 20])


def _turned(folder: Path) -> Path:
    return _joined(folder, [[_face(180, 320, forged=False)] * 20, [_face(320, 180)] * 20])


def _late_ts(folder: Path) -> Path:
    path = folder / "broadcast.ts"
    pts = [1000 * 80_001 + 100 * k for k in range(_LENGTH)]
    path.write_bytes(encode([_face(320, 320)] * _LENGTH, container="mpegts", pts=pts))
    return path


def _stumbling(folder: Path) -> Path:
    path = folder / "clip.mkv"
    pts = [100 * k for k in range(_LENGTH)]
    pts[8] = pts[7]
    path.write_bytes(encode([_face(320, 320)] * _LENGTH, container="matroska", pts=pts, options={"bf": "0"}))
    return path


def _narrow(folder: Path) -> Path:
    path = folder / "clip.mp4"
    path.write_bytes(encode([_face(424, 240)] * _LENGTH))
    return path


def _camera_mjpeg(folder: Path) -> Path:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side, as cameras do
    data = io.BytesIO()
    Image.fromarray(np.rot90(_face(320, 320))).save(data, "JPEG", quality=92, exif=exif)
    path = folder / "camera.avi"
    with av.open(str(path), "w", format="avi") as target:
        stream = target.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 320, "yuvj420p"
        target.start_encoding()
        for index in range(_LENGTH):
            packet = av.Packet(data.getvalue())
            packet.stream, packet.time_base = stream, Fraction(1, 10)
            packet.pts = packet.dts = index
            packet.is_keyframe = True
            target.mux(packet)
    return path


def _flagged(report: Report) -> None:
    assert report.status is Status.OK, report.engine.notes
    assert report.fake_prob is not None
    assert report.fake_prob >= report.weights.threshold, report.explanation


def _sizes(report: Report, *sizes: tuple[int, int]) -> None:
    assert tuple((size.width, size.height) for size in report.source.sizes) == sizes
    assert any("size changes" in note for note in report.engine.notes)


def _suspected(report: Report) -> None:
    """VP8 and small pictures take so much of the forgery's traces that the threshold isn't reached."""
    assert report.status is Status.OK, report.engine.notes
    assert report.fake_prob is not None
    assert report.fake_prob > 0.5


def _check_ramp(report: Report) -> None:
    _suspected(report)
    _sizes(report, (160, 90), (640, 360))
    late = [o for track in report.tracks for o in track.observations if o.time >= 1.0]
    assert min(o.quality.face_px for o in late) > 100, "the face is seen in the large picture's own pixels"


def _check_turned(report: Report) -> None:
    _suspected(report)
    _sizes(report, (180, 320), (320, 180))
    assert all(not (track.start < 2.0 < track.end) for track in report.tracks), "no track goes on through the turn"


def _check_late(report: Report) -> None:
    _flagged(report)
    assert abs(report.source.origin_seconds - 80_001) < 2
    assert abs(report.tracks[0].start - report.source.origin_seconds) < 0.1, "the JSON keeps the container's clock"


def _check_stumbling(report: Report) -> None:
    _flagged(report)
    times = [o.time for o in report.tracks[0].observations]
    assert times == [t for t in times if min(abs(t - k / 10) for k in range(_LENGTH)) < 0.002], times


def _to_check(triage: Triage) -> None:
    assert triage.outcome is Outcome.CHECK
    assert triage.score is not None
    assert triage.score >= triage.threshold


def _suspicious(segments: Sequence[Segment]) -> None:
    assert max(s.fake_prob for s in segments if s.fake_prob is not None) > 0.5


CASES: tuple[HardCase, ...] = (
    HardCase("WebM of a call that ramps up in size", _ramp, _check_ramp, _to_check, _suspicious),
    HardCase("phone turned on the way", _turned, _check_turned, _to_check, _suspicious),
    HardCase("MPEG-TS that starts at 80,001 s", _late_ts, _check_late, _to_check, _suspicious),
    HardCase("one repeated timestamp", _stumbling, _check_stumbling, _to_check, _suspicious),
    HardCase("width of 16 n + 8", _narrow, _flagged, _to_check, _suspicious),
    HardCase("MJPEG from a camera, turned by EXIF", _camera_mjpeg, _flagged, _to_check, _suspicious),
)
