"""Faces that move fast, stand in changing light, dissolve into each other or lie on their side."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from case import HardCase, Rgb, portraits
from skimage import data

from vidguard.detector.triage import Outcome, Triage
from vidguard.types import Report, Status
from vidguard.video import write_video

_RATE = 16.0
_WIDTH, _HEIGHT = 384, 256
Shot = Callable[[float], Rgb]
"""The picture by the time in seconds."""


def _film(shot: Shot, seconds: float) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        times = [n / _RATE for n in range(round(seconds * _RATE))]
        write_video(folder / "film.mp4", ((shot(t), t) for t in times), frame_rate=_RATE)
        return folder / "film.mp4"

    return make


def _room() -> Rgb:
    return np.asarray(cv2.resize(data.coffee(), (_WIDTH, _HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _head(side: int) -> Rgb:
    """The portrait's head; the face's box is about half as wide."""
    return np.asarray(cv2.resize(portraits()[0][40:400, 100:460], (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _placed(head: Rgb, x: float, y: float) -> Rgb:
    side = len(head)
    move = np.array([[1.0, 0, x], [0, 1.0, y]])
    mask = cv2.warpAffine(np.ones((side, side, 1), np.float32), move, (_WIDTH, _HEIGHT))[..., None]
    return np.asarray(_room() * (1 - mask) + cv2.warpAffine(head, move, (_WIDTH, _HEIGHT)) * mask, np.uint8)


def _crossing(time: float) -> Rgb:
    """A head that goes to and fro at 350 px a second."""
    free = _WIDTH - 160
    way = 350 * time % (2 * free)
    return _placed(_head(160), min(way, 2 * free - way), 60)


def _shaken(time: float) -> Rgb:
    """A head before a camera in an unsteady hand: up to 700 px a second."""
    x, y = 40 * np.sin(9 * time) + 25 * np.sin(17 * time + 1), 30 * np.sin(11 * time + 2)
    return _placed(_head(160), 110 + x, 50 + y)


def _standing(time: float) -> Rgb:
    return _placed(_head(220), 80 + 6 * np.sin(2 * time), 20)


def _lit(light: Callable[[float], tuple[tuple[float, float, float], float]]) -> Shot:
    """The standing head; light gives what its colours are multiplied by, and what is added."""

    def shot(time: float) -> Rgb:
        gain, more = light(time)
        lit = _standing(time) * np.array(gain, np.float32) + more
        return np.asarray(np.clip(lit, 0, 255).round(), np.uint8)

    return shot


def _grey(gain: float, more: float = 0.0) -> tuple[tuple[float, float, float], float]:
    return (gain, gain, gain), more


def _through_white(time: float) -> tuple[tuple[float, float, float], float]:
    white = max(0.0, 1.1 - abs(time - 2.0))
    return _grey(max(0.0, 1 - white), 255 * min(white, 1.0))


_LAMPS = ((1.0, 0.3, 0.25), (0.3, 0.45, 1.0), (0.35, 1.0, 0.4), (1.0, 0.9, 0.3))


def _dissolve(time: float) -> Rgb:
    """From a grey face to a coloured one between 1.5 and 2.5 s."""
    other = np.asarray((data.lfw_subset()[7] * 255).round(), np.uint8)[..., None].repeat(3, 2)
    first = _room()[:, ::-1].copy()
    first[60:220, 40:200] = cv2.resize(other, (160, 160), interpolation=cv2.INTER_CUBIC)
    share = min(max(time - 1.5, 0.0), 1.0)
    return np.asarray(np.clip(first * (1 - share) + _standing(time) * share, 0, 255).round(), np.uint8)


def _turned(quarters: int) -> Shot:
    return lambda time: np.ascontiguousarray(np.rot90(_standing(time), quarters))


def _turned_still(folder: Path) -> Path:
    from PIL import Image

    Image.fromarray(np.rot90(portraits()[0])).save(folder / "sideways.png")
    return folder / "sideways.png"


def _is_seen(seconds: float) -> Callable[[Report], None]:
    def check(report: Report) -> None:
        assert report.status is Status.OK
        assert report.coverage.seconds_with_face >= seconds

    return check


def _is_one_face(seconds: float) -> Callable[[Report], None]:
    def check(report: Report) -> None:
        _is_seen(seconds)(report)
        assert len(report.tracks) == 1

    return check


def _are_two_people(report: Report) -> None:
    first, second = sorted(report.tracks, key=lambda track: track.start)
    assert first.end <= 1.75
    assert second.start >= 2.25
    assert all(a.end <= b.start for a, b in pairwise((first, second)))
    assert any("gradual change" in note for note in report.engine.notes)


def _lies(quarters: int) -> Callable[[Report], None]:
    """Boxes lie in the picture as it is: around the head's centre, turned with it; the face is upright in its crop."""

    def check(report: Report) -> None:
        assert report.status is Status.OK
        (track,) = (track for track in report.tracks if track.fake_prob is not None)
        assert track.start <= 1.3
        assert track.end == report.coverage.seconds
        x0, y0, x1, y1 = track.observations[0].box_xyxy_px
        where = np.zeros((_HEIGHT, _WIDTH), bool)
        where[60:200, 120:260] = True
        there = np.rot90(where, quarters)
        assert there[round((y0 + y1) / 2), round((x0 + x1) / 2)]
        assert any("turn" in note for note in report.engine.notes)
        assert "turn" in report.explanation

    return check


def _is_checked_turned(answer: Triage) -> None:
    assert answer.outcome is Outcome.CHECK
    assert "turned picture" in answer.why


def _still_lies(report: Report) -> None:
    assert report.status is Status.OK
    assert len(report.tracks) == 1
    assert "clockwise" in report.explanation


CASES: tuple[HardCase, ...] = (
    HardCase("a face that crosses the picture fast", _film(_crossing, 3.0), _is_seen(2.8)),
    HardCase("a shaking handheld camera", _film(_shaken, 3.0), _is_seen(2.8)),
    HardCase("fade in and fade out", _film(_lit(lambda t: _grey(min(1.0, t, 4 - t))), 4.0), _is_one_face(2.8)),
    HardCase("fade through white", _film(_lit(_through_white), 4.0), _is_one_face(2.4)),
    HardCase(
        "camera flashes", _film(_lit(lambda t: _grey(1.8, 70) if t % 1 > 0.9 else _grey(1)), 3.0), _is_one_face(2.7)
    ),
    HardCase("coloured stage light", _film(_lit(lambda t: (_LAMPS[int(t * 2) % 4], 0.0)), 4.0), _is_one_face(3.5)),
    HardCase("cross dissolve between two people", _film(_dissolve, 4.0), _are_two_people),
    *(
        HardCase(
            f"video {name}, without a rotation flag", _film(_turned(quarters), 3.0), _lies(quarters), _is_checked_turned
        )
        for quarters, name in ((1, "lying on its left side"), (2, "upside down"), (3, "lying on its right side"))
    ),
    HardCase("still on its side, without a rotation flag", _turned_still, _still_lies, _is_checked_turned),
)
