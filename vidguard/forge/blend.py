"""Fakes from pristine faces: a face blended with a changed copy of itself, or with another person's.

The first is the self-blended image of Shiohara & Yamasaki (CVPR 2022, section 3.2): what can be learnt from it is
the blending boundary and the mismatch of colour, sharpness and position inside it, not any one generator's fingerprint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from vidguard.errors import InputError
from vidguard.faces.regions import REGIONS, FloatImage, face_window, region_outline, soft_mask

ByteImage = NDArray[np.uint8]
_SCALES: Final = (0.2, 5.0)
_LARGEST_SHIFT: Final = 5.0


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
    """Apply `detail` to the surroundings instead, beyond the mask as well."""
    color_match: float
    """How far a pasted source's colours are moved to the target's, 0..1."""
    seamless: bool = False
    """Poisson blending before the soft mask: no step of brightness at the edge."""
    strength: float = 1.0
    """Size of what the fields above don't describe: a reenactment's movement, an attribute's edit."""

    def __post_init__(self) -> None:
        """Refuse values that don't describe a forgery."""
        if self.region not in REGIONS:
            raise InputError(f"region must be one of {', '.join(REGIONS)}; got {self.region!r}")
        if not 0 < self.opacity <= 1 or self.detail <= 0:
            raise InputError("opacity must lie in (0, 1]; detail must be positive")
        # far beyond these OpenCV mirrors the picture back and forth for each pixel, seconds to hours
        if not _SCALES[0] <= self.scale <= _SCALES[1]:
            raise InputError(f"scale must lie in {list(_SCALES)}, got {self.scale:g}; forge with less strength")
        if not all(abs(part) <= _LARGEST_SHIFT for part in self.shift):
            raise InputError(f"shift must be at most {_LARGEST_SHIFT:g} interocular distances, got {self.shift}")
        if not 0 <= self.strength < np.inf:
            raise InputError(f"strength must be finite and not negative, got {self.strength}")

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
        region=str(rng.choice(list(REGIONS), p=[0.41, 0.17, 0.14, 0.1, 0.07, 0.04, 0.07])),
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
        seamless=bool(rng.random() < 0.1),
        strength=strength,
    )


def forge_face(
    image: ByteImage,
    landmarks: NDArray[np.float32],
    recipe: BlendRecipe,
    *,
    source: FloatImage | None = None,
    outline: NDArray[np.float32] | None = None,
) -> tuple[ByteImage, FloatImage]:
    """Forge one face of a picture.

    image: (H, W, 3) uint8 RGB; landmarks: (5, 2) px; source: (H, W, 3), what is pasted, already lying on the face (see
    `vidguard.forge.sources`), without one the face is blended with a changed copy of itself; outline: (K, 2) px, what
    is replaced where it isn't the recipe's region. Gives the forged picture and the mask (H, W) float32 in [0, 1] of
    what was pasted over. Pixels where it is 0 stay as they are, unless the recipe's `soften_target` changes the
    sharpness around the face. Deterministic in its arguments.
    """
    check_face(image, landmarks)
    if source is not None and source.shape != image.shape:
        raise InputError(f"what is pasted must have the picture's shape {image.shape}, got {source.shape}")
    landmarks = np.asarray(landmarks, np.float32)
    x0, y0, x1, y1 = face_window(image.shape[:2], landmarks)
    target: FloatImage = image[y0:y1, x0:x1].astype(np.float32)
    local = landmarks - np.array([x0, y0], np.float32)
    rng = np.random.default_rng(recipe.seed)
    edge = region_outline(local, recipe.region) if outline is None else outline - np.array([x0, y0], np.float32)
    mask = soft_mask(target.shape[:2], edge, local, deform=recipe.deform, softness=recipe.softness, rng=rng)
    pasted = target if source is None else _match_color(source[y0:y1, x0:x1], target, mask, recipe.color_match)
    source = pasted * np.array(recipe.gain, np.float32) + np.array(recipe.offset, np.float32)
    if recipe.soften_target:
        target = _change_detail(target, recipe.detail)
    else:
        source = _change_detail(source, recipe.detail)
    placed = _placement(recipe, local)
    mask = _warp(mask, placed, target.shape, cv2.BORDER_CONSTANT)
    source = _warp(source, placed, target.shape, cv2.BORDER_REFLECT_101)
    forged, whole_mask = image.copy(), np.zeros(image.shape[:2], np.float32)
    if recipe.seamless:
        source = _seamless(source, target, mask)
    mask *= np.float32(recipe.opacity)
    blended = target + mask[..., None] * (source - target)
    forged[y0:y1, x0:x1] = np.clip(np.round(blended), 0, 255).astype(np.uint8)
    whole_mask[y0:y1, x0:x1] = mask
    return forged, whole_mask


def check_face(image: ByteImage, landmarks: NDArray[np.float32]) -> None:
    """Raise InputError for what isn't a picture with a face's landmarks."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"image must be (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}")
    if np.shape(landmarks) != (5, 2) or not np.isfinite(landmarks).all():
        raise InputError("landmarks must be five finite points")


def _warp(image: NDArray[Any], matrix: NDArray[np.float64], shape: tuple[int, ...], border: int) -> FloatImage:
    size = (shape[1], shape[0])
    return np.asarray(cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=border), np.float32)


def _placement(recipe: BlendRecipe, landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    (x, y), interocular = landmarks.mean(axis=0), float(np.hypot(*(landmarks[1] - landmarks[0])))
    matrix = np.array(cv2.getRotationMatrix2D((float(x), float(y)), recipe.rotation_degrees, recipe.scale), np.float64)
    matrix[:, 2] += np.asarray(recipe.shift) * interocular
    return matrix


def _match_color(source: FloatImage, target: FloatImage, mask: FloatImage, share: float) -> FloatImage:
    """Reinhard (2001) transfer of mean and spread, per channel, inside the mask."""
    inside = mask > 0.5
    if inside.sum() < 16:
        return source
    mean_s, std_s = source[inside].mean(0), source[inside].std(0) + 1.0
    mean_t, std_t = target[inside].mean(0), target[inside].std(0) + 1.0
    matched = (source - mean_s) * np.clip(std_t / std_s, 0.5, 2.0) + mean_t
    mixed: FloatImage = source + np.float32(share) * (matched - source)
    return mixed


def _seamless(source: FloatImage, target: FloatImage, mask: FloatImage) -> FloatImage:
    """Poisson blending (Perez 2003): the source's gradients, the target's colours around the edge."""
    inside = (mask > 0.5).astype(np.uint8)
    inside[[0, -1]], inside[:, [0, -1]] = 0, 0
    if inside.sum() < 64:
        return source
    x, y, width, height = cv2.boundingRect(inside)
    pasted, around = (np.clip(np.round(layer), 0, 255).astype(np.uint8) for layer in (source, target))
    cloned = cv2.seamlessClone(pasted, around, inside * 255, (x + width // 2, y + height // 2), cv2.NORMAL_CLONE)
    return np.asarray(cloned, np.float32)


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
