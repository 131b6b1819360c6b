"""Where on a face a forgery sits: soft masks built from five landmarks alone."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

FloatImage = NDArray[np.float32]

# Outlines in a face's own axes: x in half interocular distances from the midline, y in eye-to-mouth distances below the
# eyes. Adult proportions (half width 70 mm at 63 mm between the pupils, chin 112 mm and brow 22 mm from the eye line).
_FACE: Final = ((-2.1, 0.1), (-2.0, -0.35), (-1.3, -0.6), (0.0, -0.62), (1.3, -0.6), (2.0, -0.35), (2.1, 0.1),
                (2.0, 0.8), (1.6, 1.3), (0.8, 1.68), (0.0, 1.75), (-0.8, 1.68), (-1.6, 1.3), (-2.0, 0.8))  # fmt: skip
_FOREHEAD: Final = tuple((x, y * 1.6 if y < 0 else y) for x, y in _FACE)
_INNER: Final = tuple((x * 0.75, 0.55 + (y - 0.55) * 0.78) for x, y in _FACE)
_LOWER: Final = ((-1.7, 0.45), (0.0, 0.3), (1.7, 0.45), (1.8, 0.9), (1.3, 1.4), (0.0, 1.72), (-1.3, 1.4), (-1.8, 0.9))
_EYES: Final = ((-1.9, -0.4), (0.0, -0.45), (1.9, -0.4), (1.9, 0.3), (0.6, 0.3), (0.0, 0.15), (-0.6, 0.3), (-1.9, 0.3))

REGIONS: Final = {"face": _FACE, "forehead": _FOREHEAD, "inner": _INNER, "lower": _LOWER, "eyes": _EYES}


def face_axes(landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
    """Affine map (2, 3) from a face's own axes to pixels, from its (5, 2) landmarks (eyes, nose, mouth corners)."""
    left_eye, right_eye, _, left_mouth, right_mouth = landmarks
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    return np.stack([(right_eye - left_eye) / 2, mouth - eyes, eyes], axis=1).astype(np.float32)


def region_mask(
    shape: tuple[int, int],
    landmarks: NDArray[np.float32],
    region: str,
    *,
    deform: float,
    softness: float,
    rng: np.random.Generator,
) -> FloatImage:
    """Draw a soft mask.

    shape: (H, W) px; landmarks: (5, 2) px; deform: size of the outline's random elastic deformation and softness: width
    of its edge, both in interocular distances. Gives (H, W) float32 in [0, 1].
    """
    axes = face_axes(landmarks)
    interocular = 2.0 * float(np.hypot(*axes[:, 0])) + 1e-6
    outline = np.asarray(REGIONS[region], np.float32)
    points = outline @ axes[:, :2].T + axes[:, 2]
    mask: FloatImage = np.zeros(shape, np.float32)
    cv2.fillPoly(mask, [np.round(points * 16).astype(np.int32)], 1.0, cv2.LINE_AA, shift=4)
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
