"""A face's own pixels: cut out of the picture, never resampled."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vidguard.errors import InputError

MIN_SIDE: Final = 32
"""Pixels: a smaller square has fewer than 16 whole rings of frequencies."""
_REACH: Final = 1.3  # half the square's side in interocular distances: brow to chin


def native_face(picture: NDArray[np.uint8], landmarks: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Cut the upright square of a face, pixel for pixel, so that its spectrum is the picture's and no resizer's.

    picture: (H, W, 3) uint8 RGB; landmarks: (5, 2) px (eyes, nose, mouth corners). Gives a view (S, S, 3), less where
    the picture ends. Raises InputError where less than 32 x 32 px of the square are in it.
    """
    require_rgb(picture)
    if landmarks.shape != (5, 2) or not np.isfinite(landmarks).all():
        raise InputError("landmarks must be (5, 2) finite points")
    eyes, mouth = landmarks[:2].mean(0), landmarks[3:].mean(0)
    # a face turned aside has its eyes close together, but not its eyes and its mouth
    size = max(float(np.hypot(*(landmarks[1] - landmarks[0]))), float(np.hypot(*(mouth - eyes))))
    x, y = (round(float(v)) for v in 0.6 * eyes + 0.4 * mouth)
    half = round(_REACH * size)
    face = picture[max(y - half, 0) : max(y + half, 0), max(x - half, 0) : max(x + half, 0)]
    if min(face.shape[:2]) < MIN_SIDE:
        raise InputError(f"less than {MIN_SIDE}x{MIN_SIDE} px of the face are in the picture: too few to judge")
    return face


def require_rgb(picture: NDArray[np.uint8]) -> None:
    """Raise InputError unless a picture is (H, W, 3) uint8 of at least 32 x 32 px."""
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise InputError(f"a face must be (H, W, 3) uint8 RGB, got {picture.shape} {picture.dtype}")
    if min(picture.shape[:2]) < MIN_SIDE:
        raise InputError(f"a face of {picture.shape[1]}x{picture.shape[0]} px is too small: at least {MIN_SIDE} px")
