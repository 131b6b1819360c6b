"""Faces in pictures that lie on their side or stand on their head, though nothing in the file says so.

A turn is a number of quarters, counterclockwise: what has to be done to the picture for its faces to stand upright.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

from vidguard.faces.detector import Detections, FaceDetector

_TURNS: Final = (1, 2, 3)
# A turned look counts what is as clear as this: of 306 pictures without a face it finds one so in 1 (figures of
# `benchmarks/accuracy/false_faces.py --turned`).
_CLEAR_PROB: Final = 0.99
# Where something was found upright, though less clearly than below, it counts what is clearer still: upright faces look
# like clear ones when turned in 54 of 306 pictures, and as clear as this in 6.
_CLEARER_PROB: Final = 0.999
# A face found upright that is as clear as this says that the picture stands (`AnalysisConfig.clear_detection_prob`).
_UPRIGHT_PROB: Final = 0.97
# Turned looks come this long after the first frame, and after twice as long each time: twelve in an hour.
_FIRST_LOOK_SECONDS: Final = 1.0


class TurnFinder:
    """Watches the searches of a stream and finds out how its pictures lie; 0 until two frames in a row say otherwise.

    A turned look costs three searches. None is made once a face was found upright.
    """

    def __init__(self, detector: FaceDetector) -> None:
        """Start before the first frame."""
        self.turn = 0
        self._detector = detector
        self._stands = False
        self._maybe = 0
        self._first: float | None = None
        self._wait = _FIRST_LOOK_SECONDS

    def push(self, frame: Tensor, time: float, found: Detections | None) -> Detections | None:
        """Take the next frame (1, 3, H, W) and what a search found in it as `turn` was, None if there was none.

        Returns what is found in it as `turn` is from now on.
        """
        if self._first is None:
            self._first = time
        if self._stands:
            return found
        if self._maybe:
            turn, self._maybe = self._maybe, 0
            turned = detect_turned(self._detector, frame, turn)[0]
            if _clearest(turned) >= _CLEAR_PROB:
                self.turn = turn
                return turned
        if found is None:
            return None
        if self.turn == 0:
            self._look(frame, time, found)
        elif not len(found):
            return self._stand_up(frame, found)
        return found

    def _look(self, frame: Tensor, time: float, found: Detections) -> None:
        assert self._first is not None
        self._stands = _clearest(found) >= _UPRIGHT_PROB
        if not self._stands and time - self._first >= self._wait:
            self._wait = 2 * (time - self._first)
            self._maybe = find_turn(self._detector, frame, found)

    def _stand_up(self, frame: Tensor, found: Detections) -> Detections:
        upright = self._detector.detect(frame)[0]
        if _clearest(upright) < _UPRIGHT_PROB:
            return found
        self.turn, self._stands = 0, True
        return upright


class FewTurnedLooks:
    """Watches a handful of pictures apart from each other, and says whether their faces are upright in none of them.

    The 1st, 2nd, 4th, 8th ... of them is looked at turned, for three searches each, until a face was found upright.
    """

    def __init__(self, detector: FaceDetector) -> None:
        """Start before the first picture."""
        self._detector = detector
        self._count = 0
        self._stands = False
        self._lies = False

    @property
    def lies(self) -> bool:
        """Whether a clear face was found turned, and none upright."""
        return self._lies and not self._stands

    def push(self, frame: Tensor, found: Detections) -> None:
        """Take the next picture (1, 3, H, W) and what was found in it upright."""
        self._stands = self._stands or _clearest(found) >= _UPRIGHT_PROB
        self._count += 1
        if not (self._stands or self._lies) and self._count & (self._count - 1) == 0:
            self._lies = find_turn(self._detector, frame, found) != 0


def find_turn(detector: FaceDetector, frame: Tensor, upright: Detections) -> int:
    """The turn of a frame (1, 3, H, W) in which its clearest face was found, or 0 without one clear enough.

    upright: what was found in it as it is, beside which a turned face has to be clearer.
    """
    prob, turn = max((_clearest(detect_turned(detector, frame, turn)[0]), turn) for turn in _TURNS)
    return turn if prob >= (_CLEARER_PROB if len(upright) else _CLEAR_PROB) else 0


def detect_turned(detector: FaceDetector, frames: Tensor, turn: int) -> list[Detections]:
    """`FaceDetector.detect` on frames (N, 3, H, W) turned; the answer is in pixels of the frames as they are given.

    Boxes stay rectangles along the frame's sides. Landmarks are named as they are in the turned picture, so that crops
    aligned by them show the face upright.
    """
    if turn == 0:
        return detector.detect(frames)
    height, width = frames.shape[2:]
    return [_turn_back(found, turn, height, width) for found in detector.detect(torch.rot90(frames, turn, (2, 3)))]


def refine_turned(detector: FaceDetector, frame: Tensor, boxes: Tensor, turn: int) -> Detections:
    """`FaceDetector.refine` on one frame (1, 3, H, W) turned; boxes (K, 4) are in its pixels as it is given."""
    if turn == 0:
        return detector.refine(frame, [boxes])[0]
    height, width = frame.shape[2:]
    turned = torch.rot90(frame, turn, (2, 3))
    there = _turn_boxes(boxes, -turn, *turned.shape[2:])
    return _turn_back(detector.refine(turned, [there])[0], turn, height, width)


def _clearest(found: Detections) -> float:
    return max(found.probs.tolist(), default=0.0)


def _turn_back(found: Detections, turn: int, height: int, width: int) -> Detections:
    boxes = _turn_boxes(found.boxes_xyxy_px, turn, height, width)
    return Detections(boxes, _turn_points(found.landmarks_px, turn, height, width), found.probs)


def _turn_boxes(boxes: Tensor, turn: int, height: int, width: int) -> Tensor:
    corners = _turn_points(boxes.reshape(-1, 2, 2), turn, height, width)
    return torch.cat([corners.amin(1), corners.amax(1)], 1)


def _turn_points(points: Tensor, turn: int, height: int, width: int) -> Tensor:
    """Points (..., 2) of a turned picture in the picture (height, width) that was turned."""
    x, y = points.unbind(-1)
    back = ((x, y), (width - 1 - y, x), (width - 1 - x, height - 1 - y), (y, height - 1 - x))
    return torch.stack(back[turn % 4], -1)
