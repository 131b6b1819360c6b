"""Pictures that stay on screen, crowds, and faces too blurred to judge."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from case import HardCase, Rgb, portraits
from media import encode
from PIL import Image

from vidguard.detector.triage import Outcome, Triage
from vidguard.types import Report, Segment, Status

_SIDE = 320
_CROWD = 40


@functools.cache
def _slides() -> tuple[Rgb, Rgb]:
    """The genuine face and the forged one."""
    genuine, forged = (cv2.resize(p, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for p in portraits())
    return np.asarray(genuine, np.uint8), np.asarray(forged, np.uint8)


def _slideshow(suffix: str, **how: Any) -> Callable[[Path], Path]:
    """Forged for 2 s, then genuine for 3: three frames, the last for a moment, as encoders end a still picture."""

    def make(folder: Path) -> Path:
        genuine, forged = _slides()
        path = folder / f"slides{suffix}"
        path.write_bytes(encode((forged, genuine, genuine), pts=(0, 2000, 4960), rate=25, **how))
        return path

    return make


def _animation(suffix: str, format_: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        genuine, forged = (Image.fromarray(slide) for slide in _slides())
        path = folder / f"slides{suffix}"
        forged.save(path, format_, save_all=True, append_images=[genuine], duration=[2000, 3000], loop=1)
        return path

    return make


def _whole_time_is_judged(report: Report) -> None:
    assert report.status is Status.OK
    assert report.coverage.seconds == pytest.approx(5.0, abs=0.1)
    assert report.coverage.seconds_judged == pytest.approx(5.0, abs=0.1)
    assert report.fake_prob is not None
    assert report.fake_prob >= report.weights.threshold
    assert report.findings[0].start < 1.0
    assert report.findings[0].end <= 3.0


def _is_not_cleared(triage: Triage) -> None:
    assert triage.outcome is Outcome.CHECK


def _forged_slide_stands_out(segments: Sequence[Segment]) -> None:
    by_time = sorted(segments, key=lambda s: s.start)
    assert [round(s.start) for s in by_time[:3]] == [0, 1, 2]  # a stream can't tell how long its last frame stays
    assert (by_time[0].fake_prob or 0.0) > (by_time[2].fake_prob or 0.0) + 0.3


def _one_frame(folder: Path) -> Path:
    path = folder / "one.mp4"
    path.write_bytes(encode([_slides()[1]], rate=25))
    return path


def _is_judged_as_a_still(report: Report) -> None:
    assert report.status is Status.OK
    assert "one frame" in report.explanation
    assert report.coverage.seconds == pytest.approx(0.04)


def _one_segment_with_a_probability(segments: Sequence[Segment]) -> None:
    assert len(segments) == 1
    assert segments[0].fake_prob is not None


def _group_photo(folder: Path) -> Path:
    """Faces in rows, the last and smallest forged."""
    genuine, forged = (p[60:440, 60:440] for p in portraits())
    photo = np.full((5 * 128, 8 * 128, 3), 120, np.uint8)
    for k in range(_CROWD):
        last = k == _CROWD - 1
        size = 104 if last else 112
        y, x = k // 8 * 128, k % 8 * 128
        shown = cv2.resize(forged if last else genuine, (size, size), interpolation=cv2.INTER_AREA)
        photo[y : y + size, x : x + size] = shown
    path = folder / "group.png"
    Image.fromarray(photo).save(path)
    return path


def _all_are_judged_and_not_called_genuine(report: Report) -> None:
    assert len(report.tracks) == _CROWD
    assert all(track.fake_prob is not None for track in report.tracks)
    assert report.coverage.num_faces_left_out == 0
    assert report.decision is not None
    assert report.decision.label != "genuine"


def _out_of_focus(folder: Path) -> Path:
    path = folder / "blurred.png"
    Image.fromarray(np.asarray(cv2.GaussianBlur(_slides()[0], (0, 0), 6))).save(path)
    return path


def _nothing_is_said(report: Report) -> None:
    assert report.status is Status.TOO_BLURRED
    assert report.fake_prob is None
    assert report.decision is None
    assert "too blurred" in report.explanation


def _passers_by(folder: Path) -> Path:
    """A genuine face, and two that pass so fast that they smear."""
    genuine, _ = portraits()
    small = cv2.resize(genuine, (168, 168), interpolation=cv2.INTER_AREA)
    smeared = cv2.blur(small, (15, 1))
    pictures = []
    for k in range(16):
        picture = np.full((320, 720, 3), 120, np.uint8)
        picture[:, 200:520] = cv2.resize(genuine, (320, 320), interpolation=cv2.INTER_AREA)
        picture[120:288, 2 + k : 170 + k] = smeared
        picture[120:288, 550 - k : 718 - k] = smeared
        pictures.append(picture)
    path = folder / "passers-by.mp4"
    path.write_bytes(encode(pictures, rate=8))
    return path


def _only_the_main_face_is_judged(report: Report) -> None:
    assert report.status is Status.OK
    main, *others = sorted(report.tracks, key=lambda t: -t.observations[0].quality.face_px)
    assert main.fake_prob is not None
    assert others
    assert {track.status for track in others} <= {Status.TOO_BLURRED, Status.TOO_SHORT}
    assert not any(s.fake_prob for s in report.segments if s.track_id != main.id)


CASES: tuple[HardCase, ...] = (
    *(
        HardCase(kind, make, _whole_time_is_judged, _is_not_cleared, _forged_slide_stands_out)
        for kind, make in (
            ("VFR slideshow in MP4", _slideshow(".mp4")),
            ("VFR slideshow in Matroska", _slideshow(".mkv", container="matroska")),
            ("static screen share in WebM", _slideshow(".webm", container="webm", codec="libvpx-vp9")),
            ("animated GIF", _animation(".gif", "GIF")),
            ("animated PNG", _animation(".png", "PNG")),
        )
    ),
    HardCase("video of one frame", _one_frame, _is_judged_as_a_still, _is_not_cleared, _one_segment_with_a_probability),
    HardCase("group photo of 40 faces", _group_photo, _all_are_judged_and_not_called_genuine, _is_not_cleared),
    HardCase("photo out of focus", _out_of_focus, _nothing_is_said, _is_not_cleared),
    HardCase("passers-by smeared by motion", _passers_by, _only_the_main_face_is_judged),
)
