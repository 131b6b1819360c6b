"""Where on a face a forgery sits: soft masks built from five landmarks alone."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidguard.errors import InputError

FloatImage = NDArray[np.float32]

# Outlines in a face's own axes: x in half interocular distances from the midline, y in eye-to-mouth distances below the
# eyes. Adult proportions (half width 70 mm at 63 mm between the pupils, chin 112 mm and brow 22 mm from the eye line).
_FACE: Final = ((-2.1, 0.1), (-2.0, -0.35), (-1.3, -0.6), (0.0, -0.62), (1.3, -0.6), (2.0, -0.35), (2.1, 0.1),
                (2.0, 0.8), (1.6, 1.3), (0.8, 1.68), (0.0, 1.75), (-0.8, 1.68), (-1.6, 1.3), (-2.0, 0.8))  # fmt: skip
_FOREHEAD: Final = tuple((x, y * 1.6 if y < 0 else y) for x, y in _FACE)
_INNER: Final = tuple((x * 0.75, 0.55 + (y - 0.55) * 0.78) for x, y in _FACE)
_LOWER: Final = ((-1.7, 0.45), (0.0, 0.3), (1.7, 0.45), (1.8, 0.9), (1.3, 1.4), (0.0, 1.72), (-1.3, 1.4), (-1.8, 0.9))
_EYES: Final = ((-1.9, -0.4), (0.0, -0.45), (1.9, -0.4), (1.9, 0.3), (0.6, 0.3), (0.0, 0.15), (-0.6, 0.3), (-1.9, 0.3))
_NOSE: Final = ((-0.3, 0.05), (0.3, 0.05), (0.75, 0.6), (0.5, 0.82), (-0.5, 0.82), (-0.75, 0.6))
_MOUTH: Final = ((-1.15, 0.95), (-0.5, 0.72), (0.5, 0.72), (1.15, 0.95), (0.6, 1.32), (-0.6, 1.32))

REGIONS: Final = {
    "face": _FACE, "forehead": _FOREHEAD, "inner": _INNER, "lower": _LOWER,
    "eyes": _EYES, "nose": _NOSE, "mouth": _MOUTH,
}  # fmt: skip
PARTS: Final = ("eyes", "nose", "mouth", "lower")
"""Regions that are less than the face: what an editor replaces by hand."""


def face_axes(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Affine map (2, 3) from a face's own axes to pixels, from its (5, 2) landmarks (eyes, nose, mouth corners)."""
    left_eye, right_eye, _, left_mouth, right_mouth = landmarks
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    return np.stack([(right_eye - left_eye) / 2, mouth - eyes, eyes], axis=1).astype(np.float32)


def face_window(shape: tuple[int, ...], landmarks: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """The part x0, y0, x1, y1 px of a picture of shape (H, W) that a forgery of the face can touch.

    Raises InputError where less than 8 px of it lie inside the picture.
    """
    axes = face_axes(landmarks)
    reach = np.array([(-3.2, -1.9), (3.2, -1.9), (3.2, 2.7), (-3.2, 2.7)], np.float32) @ axes[:, :2].T + axes[:, 2]
    low, high = np.floor(reach.min(0)).astype(int), np.ceil(reach.max(0)).astype(int)
    x0, y0, x1, y1 = max(low[0], 0), max(low[1], 0), min(high[0], shape[1]), min(high[1], shape[0])
    if x1 - x0 < 8 or y1 - y0 < 8:
        raise InputError("the face lies outside the picture or is smaller than 8 px")
    return x0, y0, x1, y1


def region_outline(landmarks: NDArray[np.float32], region: str) -> NDArray[np.float32]:
    """The outline (K, 2) px of one of the `REGIONS` on a face with landmarks (5, 2) px."""
    axes = face_axes(landmarks)
    outline: NDArray[np.float32] = np.asarray(REGIONS[region], np.float32) @ axes[:, :2].T + axes[:, 2]
    return outline


def soft_mask(
    shape: tuple[int, int],
    outline: NDArray[np.float32],
    landmarks: NDArray[np.float32],
    *,
    deform: float,
    softness: float,
    rng: np.random.Generator,
) -> FloatImage:
    """Fill an outline softly.

    shape: (H, W) px; outline: (K, 2) and landmarks: (5, 2) px; deform: size of the outline's random elastic deformation
    and softness: width of its edge, both in interocular distances. Gives (H, W) float32 in [0, 1].
    """
    interocular = 2.0 * float(np.hypot(*face_axes(landmarks)[:, 0])) + 1e-6
    mask: FloatImage = np.zeros(shape, np.float32)
    cv2.fillPoly(mask, [np.round(outline * 16).astype(np.int32)], 1.0, cv2.LINE_AA, shift=4)
    if deform > 0:
        mask = _elastic(mask, deform * interocular, rng)
    sigma = max(softness * interocular, 0.3)
    return np.clip(cv2.GaussianBlur(mask, (0, 0), sigma), 0.0, 1.0)


def _elastic(mask: FloatImage, amplitude_px: float, rng: np.random.Generator) -> FloatImage:
    height, width = mask.shape
    # a 5 x 5 grid of displacements, enlarged smoothly: bumps about a fifth of the picture wide, as in face X-ray masks
    dx, dy = (cv2.resize(rng.normal(0, amplitude_px, (5, 5)).astype(np.float32), (width, height),
                         interpolation=cv2.INTER_CUBIC) for _ in range(2))  # fmt: skip
    xs, ys = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    warped = cv2.remap(mask, xs + dx, ys + dy, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return np.asarray(warped, np.float32)
