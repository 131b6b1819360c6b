"""Fakes from pristine faces: a face blended with a changed copy of itself, or with another person's.

The first is the self-blended image of Shiohara & Yamasaki (CVPR 2022, section 3.2): what can be learnt from it is
the blending boundary and the mismatch of colour, sharpness and position inside it, not any one generator's fingerprint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vidguard.errors import InputError
from vidguard.forge.regions import REGIONS, FloatImage, face_axes, region_mask

ByteImage = NDArray[np.uint8]


@dataclass(frozen=True)
class BlendRecipe:
    """One forgery's parameters; a clip forged with one recipe looks like one generator's work.

    Lengths are in interocular distances, angles in degrees, colour in 0..255 levels.
    """

    region: str
    seed: int
    """Fixes the mask's deformation."""
    deform: float
    softness: float
    opacity: float
    shift: tuple[float, float]
    scale: float
    rotation_degrees: float
    gain: tuple[float, float, float]
    offset: tuple[float, float, float]
    detail: float
    """Resolution of the pasted face relative to its surroundings: below 1 reduced and enlarged, above 1 sharpened."""
    soften_target: bool
    """Apply `detail` to the surroundings instead."""
    color_match: float
    """How far a donor's colours are moved to the target's, 0..1."""

    def __post_init__(self) -> None:
        """Refuse values that don't describe a forgery."""
        if self.region not in REGIONS:
            raise InputError(f"region must be one of {', '.join(REGIONS)}; got {self.region!r}")
        if not 0 < self.opacity <= 1 or self.detail <= 0 or self.scale <= 0:
            raise InputError("opacity must lie in (0, 1]; detail and scale must be positive")

    def moved(self, dx: float, dy: float) -> BlendRecipe:
        """The same recipe with the pasted face shifted a little further: frame-to-frame jitter in a clip."""
        return replace(self, shift=(self.shift[0] + dx, self.shift[1] + dy))


def sample_recipe(rng: np.random.Generator, *, strength: float = 1.0) -> BlendRecipe:
    """Draw a recipe. strength scales every visible difference: 1 as in the paper, above it plainer to see."""

    def spread(sigma: float, count: int) -> tuple[float, ...]:
        return tuple(float(v) for v in rng.normal(0.0, sigma * strength, count))

    gain, offset, shift = spread(0.05, 3), spread(5.0, 3), spread(0.035, 2)
    common_gain, common_offset = spread(0.05, 1)[0], spread(7.0, 1)[0]
    return BlendRecipe(
        region=str(rng.choice(list(REGIONS), p=[0.45, 0.2, 0.15, 0.12, 0.08])),
        seed=int(rng.integers(2**31)),
        deform=float(rng.uniform(0.0, 0.18)),
        softness=float(rng.uniform(0.02, 0.22)),
        opacity=float(rng.choice([0.5, 0.75, 1.0, 1.0, 1.0])),
        shift=(shift[0], shift[1]),
        scale=float(np.exp(spread(0.025, 1)[0])),
        rotation_degrees=spread(1.5, 1)[0],
        gain=(1 + common_gain + gain[0], 1 + common_gain + gain[1], 1 + common_gain + gain[2]),
        offset=(common_offset + offset[0], common_offset + offset[1], common_offset + offset[2]),
        detail=float(rng.choice([rng.uniform(0.35, 0.9), 1.0, rng.uniform(1.2, 2.0)], p=[0.6, 0.2, 0.2])),
        soften_target=bool(rng.random() < 0.25),
        color_match=float(rng.uniform(0.5, 1.0)),
    )


def forge_face(
    image: ByteImage,
    landmarks: NDArray[np.float32],
    recipe: BlendRecipe,
    *,
    donor: ByteImage | None = None,
    donor_landmarks: NDArray[np.float32] | None = None,
) -> tuple[ByteImage, FloatImage]:
    """Forge one face of a picture.

    image: (H, W, 3) uint8 RGB; landmarks: (5, 2) px. Without a donor the face is blended with a changed copy of itself.
    Gives the forged picture and the mask (H, W) float32 in [0, 1] of what was replaced. Deterministic in its arguments.
    """
    _check(image, landmarks, donor, donor_landmarks)
    landmarks = np.asarray(landmarks, np.float32)
    x0, y0, x1, y1 = _surroundings(image.shape[:2], landmarks)
    if x1 - x0 < 8 or y1 - y0 < 8:
        raise InputError("the face lies outside the picture or is smaller than 8 px")
    target: FloatImage = image[y0:y1, x0:x1].astype(np.float32)
    local = landmarks - np.array([x0, y0], np.float32)
    rng = np.random.default_rng(recipe.seed)
    mask = region_mask(target.shape[:2], local, recipe.region, deform=recipe.deform, softness=recipe.softness, rng=rng)
    source = target
    if donor is not None and donor_landmarks is not None:
        source = _fit_donor(donor, donor_landmarks, target, local, mask, recipe.color_match)
    source = source * np.array(recipe.gain, np.float32) + np.array(recipe.offset, np.float32)
    if recipe.soften_target:
        target = _change_detail(target, recipe.detail)
    else:
        source = _change_detail(source, recipe.detail)
    placed = _placement(recipe, local)
    mask = _warp(mask, placed, target.shape, cv2.BORDER_CONSTANT) * np.float32(recipe.opacity)
    source = _warp(source, placed, target.shape, cv2.BORDER_REFLECT_101)
    forged, whole_mask = image.copy(), np.zeros(image.shape[:2], np.float32)
    blended = target + mask[..., None] * (source - target)
    forged[y0:y1, x0:x1] = np.clip(np.round(blended), 0, 255).astype(np.uint8)
    whole_mask[y0:y1, x0:x1] = mask
    return forged, whole_mask


def _check(
    image: ByteImage,
    landmarks: NDArray[np.float32],
    donor: ByteImage | None,
    donor_landmarks: NDArray[np.float32] | None,
) -> None:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"image must be (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")
    if np.shape(landmarks) != (5, 2) or not np.isfinite(landmarks).all():
        raise InputError("landmarks must be five finite points")
    if (donor is None) != (donor_landmarks is None):
        raise InputError("a donor picture and its landmarks come together")


def _warp(image: NDArray[Any], matrix: NDArray[np.float64], shape: tuple[int, ...], border: int) -> FloatImage:
    size = (shape[1], shape[0])
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border), np.float32)


def _surroundings(shape: tuple[int, ...], landmarks: NDArray[np.float32]) -> tuple[int, int, int, int]:
    axes = face_axes(landmarks)
    reach = np.array([(-3.2, -1.9), (3.2, -1.9), (3.2, 2.7), (-3.2, 2.7)], np.float32) @ axes[:, :2].T + axes[:, 2]
    low, high = np.floor(reach.min(0)).astype(int), np.ceil(reach.max(0)).astype(int)
    height, width = shape[:2]
    return max(low[0], 0), max(low[1], 0), min(high[0], width), min(high[1], height)


def _placement(recipe: BlendRecipe, landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    (x, y), interocular = landmarks.mean(axis=0), float(np.hypot(*(landmarks[1] - landmarks[0])))
    matrix = np.array(cv2.getRotationMatrix2D((float(x), float(y)), recipe.rotation_degrees, recipe.scale), np.float64)
    matrix[:, 2] += np.asarray(recipe.shift) * interocular
    return matrix


def _fit_donor(
    donor: ByteImage,
    donor_landmarks: NDArray[np.float32],
    target: FloatImage,
    landmarks: NDArray[np.float32],
    mask: FloatImage,
    color_match: float,
) -> FloatImage:
    lift = np.array([[0, 0, 1]], np.float32)
    to_target = np.concatenate([face_axes(landmarks), lift])
    from_donor = np.linalg.inv(np.concatenate([face_axes(np.asarray(donor_landmarks, np.float32)), lift]))
    matrix = (to_target @ from_donor)[:2]
    fitted = _warp(donor, matrix, target.shape, cv2.BORDER_REFLECT_101)
    inside = mask > 0.5
    if inside.sum() < 16:
        return fitted
    # Reinhard (2001) transfer of mean and spread, per channel, inside the mask
    mean_d, std_d = fitted[inside].mean(0), fitted[inside].std(0) + 1.0
    mean_t, std_t = target[inside].mean(0), target[inside].std(0) + 1.0
    matched = (fitted - mean_d) * np.clip(std_t / std_d, 0.5, 2.0) + mean_t
    mixed: FloatImage = fitted + np.float32(color_match) * (matched - fitted)
    return mixed


def _change_detail(image: FloatImage, detail: float) -> FloatImage:
    if detail == 1.0:
        return image
    height, width = image.shape[:2]
    if detail < 1.0:
        small = (max(round(width * detail), 4), max(round(height * detail), 4))
        reduced = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(reduced, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    blurred = cv2.GaussianBlur(image, (0, 0), 1.2)
    return np.asarray(image + (detail - 1.0) * (image - blurred), np.float32)
