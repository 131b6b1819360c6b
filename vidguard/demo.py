"""A clip with known truth, made on the spot from a public-domain portrait: for a first run and for end-to-end tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage.data import astronaut

from vidguard.config import FaceConfig
from vidguard.faces import FaceDetector
from vidguard.forge import BlendRecipe, forge_stretch, noise
from vidguard.types import Interval
from vidguard.video import write_video

_FPS: Final = 25
_SECONDS: Final = 9
_SIDE: Final = 512
TRUTH: Final = Interval(3.0, 6.0)
"""The forged stretch of the demo clip, seconds."""
_RECIPE: Final = BlendRecipe(
    region="face",
    seed=7,
    deform=0.06,
    softness=0.05,
    opacity=1.0,
    shift=(0.07, -0.05),
    scale=1.05,
    rotation_degrees=1.5,
    gain=(1.06, 0.98, 0.94),
    offset=(6.0, 0.0, -5.0),
    # picked among some fifteen recipes because the shipped weights find it: a demonstration, no measure of them
    detail=0.25,  # a plain forgery, over-smooth as early face swaps are: a first run should show what a hit looks like
    soften_target=False,
    color_match=1.0,
)


@dataclass(frozen=True)
class DemoClip:
    """The file written and its truth: the forged stretches, seconds."""

    path: Path
    truth: tuple[Interval, ...]


def make_demo_clip(path: str | Path) -> DemoClip:
    """Write a 9 s H.264 clip, 512 px, 25 frames/s, of Eileen Collins' portrait (NASA, public domain).

    The picture drifts, turns and breathes like a handheld shot; from 3 to 6 s the face is a forgery.
    """
    portrait = np.asarray(astronaut(), np.uint8)  # type: ignore[no-untyped-call]
    found = FaceDetector(FaceConfig()).detect(torch.from_numpy(portrait).permute(2, 0, 1)[None])[0]
    landmarks = found.landmarks_px[int(found.probs.argmax())].numpy()
    rng = np.random.default_rng(1)
    frames, points = [], []
    for index in range(_FPS * _SECONDS):
        move = _camera(index / _FPS)
        frame = cv2.warpAffine(
            portrait, move, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
        )
        frames.append(np.asarray(frame, np.uint8))
        points.append((landmarks @ move[:, :2].T + move[:, 2]).astype(np.float32))
    first, last = round(TRUTH.start * _FPS), round(TRUTH.end * _FPS)
    frames[first:last] = forge_stretch(frames[first:last], points[first:last], _RECIPE, jitter=0.015, rng=rng)
    images = ((noise(frame, 1.5, rng), index / _FPS) for index, frame in enumerate(frames))
    write_video(Path(path), images, frame_rate=_FPS)
    return DemoClip(Path(path), (TRUTH,))


def _camera(seconds: float) -> NDArray[np.float64]:
    """Where the camera looks: the face (about 110 px in the portrait) enlarged and slowly moving."""
    turn, zoom = 3.0 * np.sin(0.9 * seconds), 1.55 + 0.06 * np.sin(0.5 * seconds + 1)
    move = np.array(cv2.getRotationMatrix2D((224.0, 130.0), turn, zoom), np.float64)
    move[:, 2] += (32 + 14 * np.sin(0.7 * seconds), 48 + 9 * np.sin(1.1 * seconds))
    return move
