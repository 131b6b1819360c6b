"""Edits of a face that stays its own: smoother or older skin, another tone, lips and eyes of another colour.

What apps for beauty and ageing, and the generators of attributes (StarGAN, Choi et al., CVPR 2018; FaceApp in DFFD,
Dang et al., CVPR 2020), do to a face, made here without a generator: what is learnt from it is the edit's unevenness
against the untouched rest. Colours are worked on in CIE Lab.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidguard.faces.regions import FloatImage, face_axes, face_window, region_outline, soft_mask
from vidguard.forge.blend import ByteImage, check_face

Points = NDArray[np.float32]

# Outlines among the 468 points of MediaPipe's mesh (its canonical face model); any other mesh isn't used here.
_MESH_POINTS: Final = 468
_LIPS: Final = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
_MOUTH: Final = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
_EYES: Final = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
# Without a mesh: closed lips around the mouth corners (at x of -1 and 1), and the opening of an eye around its middle,
# in half mouth widths and interocular distances.
_PLAIN_LIPS: Final = ((-1.05, 0), (-0.5, -0.3), (-0.15, -0.42), (0, -0.35), (0.15, -0.42), (0.5, -0.3), (1.05, 0),
                      (0.55, 0.4), (0, 0.52), (-0.55, 0.4))  # fmt: skip
_PLAIN_EYE: Final = ((-0.22, 0.01), (-0.1, -0.07), (0, -0.09), (0.1, -0.07), (0.22, 0.01), (0.1, 0.06), (-0.1, 0.06))
_IRIS: Final = 0.095  # radius in interocular distances: 11.7 mm across at 63 mm between the pupils
_IRIS_COLORS: Final = {"blue": (-6.0, -32.0), "green": (-22.0, 20.0), "amber": (14.0, 42.0), "grey": (-2.0, -8.0)}


@dataclass(frozen=True)
class _Portrait:
    """A face's window of the picture. lab: (h, w, 3) float32; points: in the window's px."""

    lab: FloatImage
    landmarks: Points
    mesh: Points | None
    interocular: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.lab.shape[0], self.lab.shape[1]

    def fill(self, outline: Points, softness: float) -> FloatImage:
        """An outline (K, 2) filled softly, (h, w) in [0, 1]; softness in interocular distances."""
        rng = np.random.default_rng(0)
        return soft_mask(self.shape, outline, self.landmarks, deform=0.0, softness=softness, rng=rng)


Edit = Callable[[_Portrait, float, np.random.Generator], tuple[FloatImage, FloatImage]]
"""(portrait, strength, rng) -> the changed Lab picture and where it holds, (h, w) in [0, 1]."""


def edit_attribute(
    name: str,
    image: ByteImage,
    landmarks: Points,
    *,
    strength: float,
    rng: np.random.Generator,
    mesh: Points | None = None,
) -> tuple[ByteImage, FloatImage]:
    """Make one of the `ATTRIBUTES`' edits of a face.

    image: (H, W, 3) uint8 RGB; landmarks: (5, 2) px; strength: 0 leaves the face, 1 is a plain edit; mesh: (468, 2) px,
    for exact outlines of lips and eyes. Gives the edited picture and the mask (H, W) float32 in [0, 1] of where.
    """
    check_face(image, landmarks)
    landmarks = np.asarray(landmarks, np.float32)
    x0, y0, x1, y1 = face_window(image.shape[:2], landmarks)
    corner = np.array([x0, y0], np.float32)
    window: FloatImage = image[y0:y1, x0:x1].astype(np.float32)
    local = None if mesh is None or len(mesh) != _MESH_POINTS else mesh - corner
    lab = np.asarray(cv2.cvtColor(window / 255, cv2.COLOR_RGB2LAB), np.float32)
    eyes = float(np.hypot(*(landmarks[1] - landmarks[0]))) + 1e-6
    changed, where = ATTRIBUTES[name](_Portrait(lab, landmarks - corner, local, eyes), strength, rng)
    changed[..., 0] = changed[..., 0].clip(0, 100)
    target = cv2.cvtColor(changed, cv2.COLOR_LAB2RGB).clip(0, 1) * 255
    blended = window + where[..., None] * (target - window)
    edited, mask = image.copy(), np.zeros(image.shape[:2], np.float32)
    edited[y0:y1, x0:x1] = np.clip(np.round(blended), 0, 255).astype(np.uint8)
    mask[y0:y1, x0:x1] = where
    return edited, mask


def _smooth(face: _Portrait, strength: float, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
    """Skin without pores, spots and fine lines, as beauty filters leave it: edges stay."""
    contrast = strength * float(rng.uniform(5.0, 9.0))
    smooth = np.stack([_guided(face.lab[..., c], 0.1 * face.interocular, contrast) for c in range(3)], axis=2)
    return smooth, _skin(face)


def _age(face: _Portrait, strength: float, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
    """Deeper lines and folds, uneven pigment, paler colour."""
    eyes, changed = face.interocular, face.lab.copy()
    lightness = np.ascontiguousarray(face.lab[..., 0])
    lines = _blur(lightness, 0.015 * eyes) - _blur(lightness, 0.1 * eyes)
    pigment = _pattern(face, rng)
    changed[..., 0] += strength * (float(rng.uniform(0.6, 1.1)) * lines - 2.5 * np.maximum(pigment, 0))
    changed[..., 1:] *= 1 - 0.12 * strength
    return changed, _skin(face)


def _tone(face: _Portrait, strength: float, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
    """Paler or darker, redder or yellower skin."""
    side = rng.choice([-1.0, 1.0], 3)
    amounts = side * rng.uniform((6, 2, 2), (13, 6, 7)) * strength
    return (face.lab + amounts).astype(np.float32), _skin(face)


def _lips(face: _Portrait, strength: float, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
    """Lipstick: another hue over the lips' own light and shade."""
    color = np.array([rng.uniform(35, 58), rng.uniform(-8, 26)], np.float32)
    changed = face.lab.copy()
    changed[..., 0] -= strength * float(rng.uniform(2, 10))
    changed[..., 1:] += min(0.75 * strength, 1.0) * (color - changed[..., 1:])
    where = face.fill(_lips_outline(face), 0.02)
    skin = _skin_color(face)
    if face.mesh is not None:
        where = where * (1 - face.fill(face.mesh[list(_MOUTH)], 0.01))
    else:  # the plain outline reaches beyond the lips of a smile, where it isn't redder than the cheeks
        where = where * _sigmoid(face.lab[..., 1] - skin[1] - 2)
    # an open mouth's teeth are lighter than lips
    return changed, (where * _sigmoid((8 + skin[0] - face.lab[..., 0]) / 3)).astype(np.float32)


def _eyes(face: _Portrait, strength: float, rng: np.random.Generator) -> tuple[FloatImage, FloatImage]:
    """Irises of another colour; lids, lashes and the whites stay."""
    color = np.array(_IRIS_COLORS[str(rng.choice(list(_IRIS_COLORS)))], np.float32)
    changed, where = face.lab.copy(), np.zeros(face.shape, np.float32)
    changed[..., 1:] += min(0.8 * strength, 1.0) * (color - changed[..., 1:])
    changed[..., 0] += 10 * strength
    for number in (0, 1):
        opening = face.fill(_eye_outline(face, number), 0.01)
        iris = np.zeros(face.shape, np.float32)
        x, y = np.round(_darkest(face, number, opening) * 16).astype(int)
        radius = round(_IRIS * face.interocular * 16)
        cv2.circle(iris, (int(x), int(y)), radius, 1.0, -1, cv2.LINE_AA, shift=4)
        where = np.maximum(where, opening * _blur(iris, 0.012 * face.interocular))
    return changed, where


ATTRIBUTES: Final[dict[str, Edit]] = {
    "smooth skin": _smooth,
    "older skin": _age,
    "skin tone": _tone,
    "lip color": _lips,
    "eye color": _eyes,
}


def _skin(face: _Portrait) -> FloatImage:
    """Where the face's skin is, (h, w) in [0, 1]: inside its outline, of the cheeks' colour, not eyes or mouth."""
    distance = (face.lab - _skin_color(face)) * np.array([0.5, 1.0, 1.0], np.float32)
    likeness = np.exp(-0.5 * (np.linalg.norm(distance, axis=2) / 14) ** 2).astype(np.float32)
    likeness = _blur(likeness, 0.05 * face.interocular)
    where = face.fill(region_outline(face.landmarks, "face"), 0.1) * likeness
    for outline in (_lips_outline(face), _eye_outline(face, 0), _eye_outline(face, 1)):
        where = where * (1 - face.fill(outline, 0.03))
    return where.astype(np.float32)


def _skin_color(face: _Portrait) -> FloatImage:
    """Median Lab of both cheeks, below the eyes at half the way to the mouth."""
    axes = face_axes(face.landmarks)
    places = np.array([(-0.95, 0.55), (0.95, 0.55)], np.float32) @ axes[:, :2].T + axes[:, 2]
    cheeks = np.zeros(face.shape, np.uint8)
    for x, y in np.round(places).astype(int):
        cv2.circle(cheeks, (int(x), int(y)), max(round(0.16 * face.interocular), 1), 1, -1)
    inside = face.lab[cheeks > 0]
    middle: FloatImage = np.median(inside if len(inside) else face.lab.reshape(-1, 3), axis=0).astype(np.float32)
    return middle


def _lips_outline(face: _Portrait) -> Points:
    if face.mesh is not None:
        return np.asarray(face.mesh[list(_LIPS)], np.float32)
    left, right = face.landmarks[3:]
    across = (right - left) / 2
    down = np.array([-across[1], across[0]], np.float32)
    return np.asarray(_PLAIN_LIPS @ np.stack([across, down]) + (left + right) / 2, np.float32)


def _eye_outline(face: _Portrait, number: int) -> Points:
    if face.mesh is not None:
        return np.asarray(face.mesh[list(_EYES[number])], np.float32)
    across = face.landmarks[1] - face.landmarks[0]
    down = np.array([-across[1], across[0]], np.float32)
    return np.asarray(_PLAIN_EYE @ np.stack([across, down]) + face.landmarks[number], np.float32)


def _darkest(face: _Portrait, number: int, opening: FloatImage) -> Points:
    """The middle of the darkest quarter of an eye's opening: pupil and iris, wherever the eye looks."""
    inside = opening > 0.5
    if inside.sum() < 8:
        return np.asarray(face.landmarks[number], np.float32)
    lightness = _blur(np.ascontiguousarray(face.lab[..., 0]), 0.02 * face.interocular)
    ys, xs = np.nonzero(inside & (lightness <= np.quantile(lightness[inside], 0.25)))
    return np.array([xs.mean(), ys.mean()], np.float32)


def _pattern(face: _Portrait, rng: np.random.Generator) -> FloatImage:
    """Blotches of unit size (standard deviation) that move with the face, (h, w)."""
    side = 96
    noise = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), 2.0)
    axes = face_axes(face.landmarks)
    scale = 5.0 / side  # the tile spans five units of the face's axes, from (-2.5, -2) on
    corner = axes[:, :2] @ np.array([-2.5, -2.0], np.float32) + axes[:, 2]
    placed = np.concatenate([axes[:, :2] * scale, corner[:, None]], axis=1)
    tile = noise / (noise.std() + 1e-6)
    return np.asarray(cv2.warpAffine(tile, placed, face.shape[::-1], flags=cv2.INTER_LINEAR), np.float32)


def _guided(channel: FloatImage, radius: float, contrast: float) -> FloatImage:
    """Guided filter by itself (He, Sun & Tang, 2013): flat where the contrast is below `contrast`, sharp at edges."""
    size = (2 * max(round(radius), 1) + 1,) * 2
    mean = cv2.boxFilter(channel, -1, size)
    variance = np.maximum(cv2.boxFilter(channel * channel, -1, size) - mean * mean, 0)
    slope = variance / (variance + contrast * contrast + 1e-6)
    return np.asarray(cv2.boxFilter(slope, -1, size) * channel + cv2.boxFilter(mean * (1 - slope), -1, size))


def _blur(image: FloatImage, sigma: float) -> FloatImage:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(sigma, 0.3)), np.float32)


def _sigmoid(value: FloatImage) -> FloatImage:
    return np.asarray(1 / (1 + np.exp(-np.clip(value, -30, 30))), np.float32)
